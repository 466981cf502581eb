"""Self-critical fine-tuning (Rennie et al., CVPR 2017): a sampled draft is compared with the greedy draft of its study.

Both are written at once, without gradients and without dropout. A sampled draft is a greedy one whose logits had Gumbel
noise added, which is the same as sampling (the Gumbel-max trick); the noise of a study follows from the seed and its
place in the batch over all processes, and so does its draft, whoever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LogitsProcessor, LogitsProcessorList

from report_gen.generation import Decoding
from report_gen.generation.decoding import arguments, left_padded
from report_gen.metrics.cider import DocumentFrequencies
from report_gen.metrics.measure import Floats
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, ReportTokenizer

from ..data import IGNORED, Batch
from ..recipe import ScstRecipe
from .objectives import policy_loss
from .rewards import rewards


@dataclass(frozen=True)
class Sampled:
    """One sampled draft of each of the B studies of a batch, behind the batch's own texts."""

    input_ids: torch.Tensor
    """[2B,L]: the batch's own, then prompt, begin, draft and end."""
    attention_mask: torch.Tensor
    """[2B,L]."""
    labels: torch.Tensor
    """[B,L] of the drafts."""
    advantages: torch.Tensor
    """[B]: reward of the sampled draft less that of the greedy one."""
    reward: float
    """Mean of the sampled drafts, to be watched."""


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
    """Let the model draft a batch that has texts, and judge what it wrote by these.

    Args:
        model: the plain module, never one that is wrapped for several processes.
        frequencies: of the training reports, from `training_frequencies`.
        max_report_tokens: maximum number of tokens R of a draft.
        seed: of the step; rank and processes tell which rows of the whole batch these are: rank, rank + processes ...
    """
    prompts = [ids[: ids.index(BOS_ID)] for ids in batch.input_ids.tolist()]
    with _evaluating(model), torch.no_grad():
        features = None
        if batch.view_mask.shape[1]:
            features = model.encode_images(
                batch.pixel_values, batch.view_positions, batch.view_mask, batch.patch_features
            )
        visual = model.visual_tokens(batch.finding_states, features, batch.attribute_values)
        noise = _GumbelNoise(len(prompts), scst.temperature, (seed, rank, processes))
        greedy, sampled = _write(model, visual, prompts, noise, max_report_tokens)
    references, schema = [tokenizer.decode(ids) for ids in _reports(batch)], model.config.finding_schema
    scored = [
        rewards([tokenizer.decode(ids) for ids in drafts], references, scst, frequencies, schema)
        for drafts in (sampled, greedy)
    ]
    return _beside(batch, prompts, sampled, scored[0] - scored[1], float(scored[0].mean()))


def self_critical_loss(logits: torch.Tensor, sampled: Sampled, batch: Batch, scst: ScstRecipe) -> torch.Tensor:
    """The loss of sampled drafts, per report token of the batch, from the logits [2B,L,vocabulary] of a forward pass
    over `sampled.input_ids`."""
    return policy_loss(
        logits[len(batch.labels) :],
        sampled.labels,
        sampled.advantages,
        temperature=scst.temperature,
        tokens=(batch.labels != IGNORED).sum(),
    )


class _GumbelNoise(LogitsProcessor):  # type: ignore[misc]  # transformers is not followed
    """Leaves the first of two halves of a batch as it is, and lets the highest logit of the second be a sample."""

    def __init__(self, studies: int, temperature: float, seed: tuple[int, int, int]) -> None:
        number, rank, processes = seed
        self._random = [np.random.default_rng((number, rank + row * processes)) for row in range(studies)]
        self._temperature = temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        studies, words = len(self._random), scores.shape[-1]
        noise = np.stack([random.gumbel(size=words) for random in self._random]).astype(np.float32)
        sampled = scores[studies:].float() / self._temperature + torch.from_numpy(noise).to(scores.device)
        return torch.cat([scores[:studies], sampled.to(scores.dtype)])


def _write(
    model: ReportModel,
    visual: tuple[torch.Tensor, torch.Tensor],
    prompts: Sequence[Sequence[int]],
    noise: _GumbelNoise,
    max_report_tokens: int,
) -> tuple[list[list[int]], list[list[int]]]:
    """A greedy and a sampled draft for each prompt, with the end token unless it was cut."""
    input_ids, attention_mask = left_padded([*prompts, *prompts], visual[0].device)
    call = model.decoder.conditioned(visual[0].repeat(2, 1, 1), visual[1].repeat(2, 1), input_ids, attention_mask)
    room = model.decoder.positions - call["attention_mask"].shape[1]
    token_ids = model.decoder.language_model.generate(
        **call,
        **arguments(Decoding()),
        logits_processor=LogitsProcessorList([noise]),
        max_new_tokens=min(max_report_tokens + 1, room),
    )
    written = (token_ids[:, input_ids.shape[1] :] if "input_ids" in call else token_ids).tolist()
    drafts = [ids[: ids.index(EOS_ID) + 1] if EOS_ID in ids else ids for ids in written]
    return drafts[: len(prompts)], drafts[len(prompts) :]


def _beside(
    batch: Batch, prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]], advantages: Floats, reward: float
) -> Sampled:
    device, studies = batch.input_ids.device, len(prompts)
    own = [ids[mask.bool()] for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
    texts = [
        torch.tensor([*prompt, BOS_ID, *draft], device=device) for prompt, draft in zip(prompts, drafts, strict=True)
    ]
    input_ids = pad_sequence([*own, *texts], batch_first=True, padding_value=PAD_ID)  # [2B,L]
    ends = torch.tensor([len(text) for text in (*own, *texts)], device=device)[:, None]
    starts = torch.tensor([len(prompt) + 1 for prompt in prompts], device=device)[:, None]
    places = torch.arange(input_ids.shape[1], device=device)
    return Sampled(
        input_ids=input_ids,
        attention_mask=(places < ends).long(),
        labels=input_ids[studies:].masked_fill((places < starts) | (places >= ends[studies:]), IGNORED),
        advantages=torch.tensor(advantages, dtype=torch.float32, device=device),
        reward=reward,
    )


def _reports(batch: Batch) -> Iterator[list[int]]:
    for labels in batch.labels:
        yield labels[labels != IGNORED].tolist()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Nothing is dropped inside; every module goes back to the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
