"""Try a loaded model once: transformers reads some settings of a decoder only when it generates a text."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from report_gen.config import STATES
from report_gen.errors import CheckpointError
from report_gen.model.device import check_memory
from report_gen.model.gpt2 import Gpt2LanguageModel
from report_gen.model.projector import VisualFeatures
from report_gen.model.report_model import ReportModel
from report_gen.records import FindingState
from report_gen.tokenizer import BOS_ID, EOS_ID

_TOKENS = 2
"""Generated tokens: the second one is the first that reads the cache of the decoder."""


def try_model(model: ReportModel, prompt_ids: Sequence[int]) -> None:
    """Compute the first tokens of a report about one black image.

    Args:
        model: The model with its weights, in evaluation mode.
        prompt_ids: Token ids of the shortest prompt, without the begin token.

    Raises:
        CheckpointError: The decoder has too few positions for a report, or transformers cannot generate with it.
    """
    try:
        free = model.decoder.positions - model.visual_positions(1) - len(prompt_ids) - 1
        if free >= 1:
            _generate(model, prompt_ids, tokens=min(_TOKENS, free))
    except _errors(model) as error:
        check_memory(error, "a report of the model")
        reason = " ".join(str(error).split()).rstrip(".")[:300]
        raise CheckpointError(f"the model cannot generate a text ({reason}); use another checkpoint") from error
    if free < 1:
        raise CheckpointError(
            f"the decoder has {model.decoder.positions} positions, but one image and the prompt need "
            f"{model.decoder.positions - free}, and a report needs more; use another checkpoint"
        )


@torch.inference_mode()
def encode_zeros(model: ReportModel, device: torch.device | None = None) -> VisualFeatures:
    """Compute the visual features of a study with one image whose patch features are 0.

    Args:
        model: The model in evaluation mode.
        device: Device of the model. Default: the CPU.
    """
    views = torch.zeros(1, 1, dtype=torch.long, device=device)  # [B,V]
    features = torch.zeros(1, 1, model.encoder.patches, model.encoder.width, device=device)  # [B,V,N,D_img]
    return model.encode_images(torch.empty(0), views, torch.ones_like(views, dtype=torch.bool), features)


def _errors(model: ReportModel) -> tuple[type[Exception], ...]:
    """Return the errors which mean that a model cannot generate a text."""
    if isinstance(model.decoder.language_model, Gpt2LanguageModel):
        return (RuntimeError,)
    from report_gen.model.pretrained_source import LIBRARY_ERRORS  # loads transformers

    return LIBRARY_ERRORS


@torch.inference_mode()
def _generate(model: ReportModel, prompt_ids: Sequence[int], *, tokens: int) -> None:
    """Compute what drafting computes after the encoder: visual tokens, logits, and tokens with the cache."""
    states = torch.full((1, len(model.config.finding_schema.findings)), STATES.index(FindingState.UNKNOWN))  # [B,F]
    visual = encode_zeros(model)
    visual_tokens, visual_mask = model.visual_tokens(states, visual)
    input_ids = torch.tensor([[*prompt_ids, BOS_ID]])  # [B,L]
    text = (input_ids, torch.ones_like(input_ids))
    model.decoder(visual_tokens, visual_mask, *text)
    if isinstance(model.decoder.language_model, Gpt2LanguageModel):
        return  # it has no `generate`, and no settings that its forward pass does not use
    inputs = model.decoder.conditioned(visual_tokens, visual_mask, *text)
    model.decoder.language_model.generate(
        **inputs,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        eos_token_id=EOS_ID,
        pad_token_id=EOS_ID,
    )
