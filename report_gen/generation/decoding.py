"""The loop around the decoder is transformers'; here are its options, its prefix and what it believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from report_gen.errors import UsageError
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How a draft is written."""

    method: Literal["greedy", "beam", "sample"] = "greedy"
    beams: int = 4
    """Width of the beam search."""
    temperature: float = 0.8
    """Sampling: below 1 sharpens, above 1 flattens."""
    top_p: float = 0.9
    """Sampling: only the likeliest tokens that together have this probability."""
    max_tokens: int = 160
    """R at most."""
    candidates: int = 1
    """Texts to choose from: the one by `method`, the others by sampling; see `choosing.py`."""
    seed: int = 0
    """Of the sampling; greedy and beam search alone do not draw."""

    def __post_init__(self) -> None:
        if self.method not in ("greedy", "beam", "sample"):
            raise UsageError(f"decoding method {self.method!r} is not known; choose greedy, beam or sample")
        if min(self.max_tokens, self.beams, self.candidates) < 1 or not self.temperature > 0 or not 0 < self.top_p <= 1:
            raise UsageError("decoding needs max_tokens, beams and candidates >= 1, temperature > 0 and top_p in 0..1")

    def options(self) -> dict[str, str | int | float | bool]:
        """What the provenance of a draft records: only the options that had a say."""
        common: dict[str, str | int | float | bool] = {"method": self.method, "max_tokens": self.max_tokens}
        if self.method == "beam":
            common["beams"] = self.beams
        if self.method == "sample" or self.candidates > 1:
            common |= {"temperature": self.temperature, "top_p": self.top_p, "seed": self.seed}
        return common | {"candidates": self.candidates}


DEFAULT_DECODING = Decoding(method="beam", candidates=8, temperature=0.6)
"""How drafts are written unless somebody wants it otherwise."""


@dataclass(frozen=True)
class Generated:
    """One text's token ids, the end token cut off, and the probability that the model gave to each."""

    token_ids: tuple[int, ...]
    probabilities: tuple[float, ...]


@torch.inference_mode()
def generate_ids(
    model: ReportModel,
    *,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    prompt_ids: Sequence[Sequence[int]],
    decoding: Decoding,
) -> list[Generated]:
    """Write one text per row of visual_tokens [B,K,D_txt] after its prompt."""
    input_ids, attention_mask = left_padded(prompt_ids, visual_tokens.device)
    call = model.decoder.conditioned(visual_tokens, visual_mask, input_ids, attention_mask)
    room = model.decoder.positions - call["attention_mask"].shape[1]
    if room < 1:
        raise UsageError("the prompt leaves no room for a report; shorten the indication")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(decoding.seed)
        token_ids = model.decoder.language_model.generate(
            **call, **arguments(decoding), max_new_tokens=min(decoding.max_tokens, room)
        )
    token_ids = token_ids[:, input_ids.shape[1] :] if "input_ids" in call else token_ids
    token_probabilities = _token_probabilities(model, visual_tokens, visual_mask, input_ids, attention_mask, token_ids)
    return [
        Generated(tuple(ids[:length]), tuple(row[:length]))
        for ids, row in zip(token_ids.tolist(), token_probabilities.tolist(), strict=True)
        for length in [ids.index(EOS_ID) if EOS_ID in ids else len(ids)]
    ]


def arguments(decoding: Decoding) -> dict[str, object]:
    """What transformers' `generate` calls it."""
    common: dict[str, object] = {
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": PAD_ID,
        "suppress_tokens": [PAD_ID, UNK_ID, BOS_ID],
    }
    if decoding.method == "greedy":
        return common | {"do_sample": False, "num_beams": 1}
    if decoding.method == "beam":
        return common | {"do_sample": False, "num_beams": decoding.beams, "length_penalty": 1.0}
    return common | {"do_sample": True, "top_p": decoding.top_p, "top_k": 0, "temperature": decoding.temperature}


def left_padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of unequal length, each followed by the begin token, so that all reports start in the same column."""
    begun = [[*row, BOS_ID] for row in rows]
    longest = max(map(len, begun))
    ids = [[PAD_ID] * (longest - len(row)) + row for row in begun]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in begun]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _token_probabilities(
    model: ReportModel,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    token_ids: torch.Tensor,
) -> torch.Tensor:
    """Probability of every written token [B,R], whatever way it was chosen: one forward pass over the whole text."""
    text = torch.cat([input_ids, token_ids], dim=1)
    mask = torch.cat([attention_mask, attention_mask.new_ones(token_ids.shape)], dim=1)
    logits = model.decoder(visual_tokens, visual_mask, text, mask)[:, input_ids.shape[1] - 1 : -1]  # [B,R,vocabulary]
    token_probabilities: torch.Tensor = logits.softmax(-1).gather(-1, token_ids.unsqueeze(-1)).squeeze(-1)
    return token_probabilities
