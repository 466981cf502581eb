"""Self-critical sequence training (Rennie et al., CVPR 2017): sampled drafts are rewarded relative to greedy drafts.

One call of `generate_tokens` generates a greedy and a sampled draft for each study of a batch, without gradients and
without dropout. The random generator of a study is seeded with the seed of the step and the position of the study in
the batch over all processes, so a sampled draft does not depend on the other studies of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from report_gen.generation import Decoding, GeneratedTokens, generate_tokens, study_generator
from report_gen.metrics import DocumentFrequencies, Floats
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, ReportTokenizer

from ..data import IGNORED, Batch
from ..recipe import ScstRecipe
from .objectives import policy_loss
from .rewards import rewards


@dataclass(frozen=True)
class Sampled:
    """One sampled draft for each of the B studies of a batch, after the reference reports of the batch."""

    input_ids: torch.Tensor
    """[2B,L]: the rows of the batch, then prompt, begin token, draft and end token of each sampled draft."""
    attention_mask: torch.Tensor
    """[2B,L]."""
    labels: torch.Tensor
    """[B,L] of the sampled drafts, IGNORED outside of draft and end token."""
    advantages: torch.Tensor
    """[B]: reward of the sampled draft minus the reward of the greedy draft."""
    reward: float
    """Mean reward of the sampled drafts, for monitoring."""


def sample_drafts(
    model: ReportModel,
    batch: Batch,
    tokenizer: ReportTokenizer,
    scst: ScstRecipe,
    frequencies: DocumentFrequencies,
    *,
    max_report_tokens: int,
    seed: int,
    rank: int = 0,
    processes: int = 1,
) -> Sampled:
    """Draft the studies of a batch and reward the drafts by comparison with the reference reports.

    Args:
        model: The plain module, not wrapped for several processes.
        batch: Studies with reports.
        tokenizer: Tokenizer of the model.
        scst: Weights of the reward and sampling temperature.
        frequencies: Document frequencies in the training reports, from `training_frequencies`.
        max_report_tokens: Maximum number of report tokens R.
        seed: Seed of the step.
        rank: Process number; the rows of this batch are rows rank, rank + processes, ... of the batch over all
            processes.
        processes: Number of processes.
    """
    prompts = [ids[: ids.index(BOS_ID)] for ids in batch.input_ids.tolist()]
    generators = [study_generator(seed, rank + row * processes) for row in range(len(prompts))]
    decoding = Decoding(
        method="sample",
        temperature=scst.temperature,
        top_p=1.0,
        max_tokens=max_report_tokens + 1,  # with end token
    )
    with _evaluation_mode(model), torch.no_grad():
        visual_tokens, visual_mask = _visual_tokens(model, batch)
        generated = generate_tokens(
            model,
            visual_tokens=visual_tokens.repeat(2, 1, 1),
            visual_mask=visual_mask.repeat(2, 1),
            prompt_ids=[*prompts, *prompts],
            decoding=decoding,
            generators=[*[None] * len(prompts), *generators],  # greedy rows first
            with_probabilities=False,
        )
    drafts = [_with_end(tokens) for tokens in generated]
    greedy, sampled = drafts[: len(prompts)], drafts[len(prompts) :]
    references = [tokenizer.decode(ids) for ids in _report_ids(batch)]
    sampled_rewards, greedy_rewards = (
        rewards([tokenizer.decode(ids) for ids in texts], references, scst, frequencies, model.config.finding_schema)
        for texts in (sampled, greedy)
    )
    return _append_drafts(batch, prompts, sampled, sampled_rewards - greedy_rewards, float(sampled_rewards.mean()))


def self_critical_loss(logits: torch.Tensor, sampled: Sampled, batch: Batch, scst: ScstRecipe) -> torch.Tensor:
    """Return the policy loss of the sampled drafts per report token of the batch.

    Args:
        logits: [2B,L,vocabulary] of a forward pass over `sampled.input_ids`.
        sampled: Drafts of the batch.
        batch: Studies with reports.
        scst: Sampling temperature.
    """
    return policy_loss(
        logits[len(batch.labels) :],
        sampled.labels,
        sampled.advantages,
        temperature=scst.temperature,
        tokens=(batch.labels != IGNORED).sum(),
    )


def _visual_tokens(model: ReportModel, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the visual tokens [B,K,D_txt] of a batch and their mask [B,K]; it may have no images."""
    visual = None
    if batch.view_mask.shape[1]:
        visual = model.encode_images(*batch.image_inputs)
    return model.visual_tokens(batch.finding_states, visual, batch.attribute_values, batch.finding_locations)


def _with_end(tokens: GeneratedTokens) -> list[int]:
    """Return the token ids with the end token, unless the draft was cut."""
    return [*tokens.token_ids, EOS_ID] if tokens.ended else list(tokens.token_ids)


def _append_drafts(
    batch: Batch, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], advantages: Floats, reward: float
) -> Sampled:
    """Stack the rows of the batch and the drafts, padded on the right."""
    device, studies = batch.input_ids.device, len(prompts)
    reports = [ids[mask.bool()] for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
    texts = [
        torch.tensor([*prompt, BOS_ID, *draft], device=device) for prompt, draft in zip(prompts, drafts, strict=True)
    ]
    input_ids = pad_sequence([*reports, *texts], batch_first=True, padding_value=PAD_ID)  # [2B,L]
    ends = torch.tensor([len(text) for text in (*reports, *texts)], device=device)[:, None]
    starts = torch.tensor([len(prompt) + 1 for prompt in prompts], device=device)[:, None]
    columns = torch.arange(input_ids.shape[1], device=device)
    return Sampled(
        input_ids=input_ids,
        attention_mask=(columns < ends).long(),
        labels=input_ids[studies:].masked_fill((columns < starts) | (columns >= ends[studies:]), IGNORED),
        advantages=torch.tensor(advantages, dtype=torch.float32, device=device),
        reward=reward,
    )


def _report_ids(batch: Batch) -> Iterator[list[int]]:
    for labels in batch.labels:
        yield labels[labels != IGNORED].tolist()


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Switch dropout off; every module returns to the mode that it was in, as frozen parts stay in evaluation mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
