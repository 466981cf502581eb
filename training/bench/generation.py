"""What generating texts costs, against `generate` of transformers with the same weights and the same texts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from report_gen.config import ModelConfig
from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.generation import DEFAULT_DECODING, Decoding, generate_tokens
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.model import Checkpoint, ReportModel, load_checkpoint
from report_gen.phantom import draw_chest, write_png
from report_gen.records import Study

from .pairs import Case

_GREEDY = replace(DEFAULT_DECODING, method="greedy", candidates=1)
_BEAM = replace(DEFAULT_DECODING, candidates=1)
_VOCABULARY = 10_000
_SIZES: dict[str, dict[str, Any]] = {
    "GPT-2, 24 million": {"model_type": "gpt2", "n_embd": 512, "n_layer": 6, "n_head": 8, "n_positions": 512},
    "Llama, 111 million": {
        "model_type": "llama",
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    },
}
"""Decoders with random weights; the second one has the layers of SmolLM2-135M and a smaller vocabulary."""
_LENGTH = 60
"""Tokens of a text of the decoders with random weights."""
_PREFIXES = (60, 260)
_PROMPT_ID = 100


def generation_cases(checkpoint: str, studies: Sequence[Study], *, against: bool, sizes: bool) -> Iterator[Case]:
    """Yield the cases of a checkpoint, and those of larger decoders with random weights.

    Args:
        checkpoint: Folder of the checkpoint, or name of an embedded one.
        studies: Studies to draft; they are repeated to fill a batch.
        against: Whether transformers does the same work.
        sizes: Whether larger decoders are measured too.
    """
    ours, theirs = load_checkpoint(checkpoint), unknown_to_report_gen(load_checkpoint(checkpoint)) if against else None
    works = (("default draft", DEFAULT_DECODING, (1, 8)), ("greedy", _GREEDY, (1, 8, 32)), ("beam", _BEAM, (1, 8)))
    for name, decoding, batches in works:
        for batch in batches:
            chosen = [studies[index % len(studies)] for index in range(batch)]
            yield Case(
                name=f"{name}, batch {batch}",
                units=batch,
                unit="study",
                ours=_drafts(Drafter(ours), chosen, decoding),
                theirs=None if theirs is None else _drafts(Drafter(theirs), chosen, decoding),
            )
    if sizes:
        yield from _size_cases(against=against)


def draw_studies(folder: Path, count: int) -> list[Study]:
    """Draw phantoms of chest radiographs as studies."""
    return [read_study(write_png(folder / f"{seed}.png", draw_chest(seed=seed))) for seed in range(count)]


def unknown_to_report_gen(checkpoint: Checkpoint) -> Checkpoint:
    """Make the decoder of a checkpoint one of an unknown type, for which transformers generates."""
    _unknown(checkpoint.model)
    return checkpoint


def _unknown(model: ReportModel) -> ReportModel:
    language_model = model.decoder.language_model
    language_model.__class__ = type("OtherDecoder", (type(language_model),), {})
    return model


def _drafts(drafter: Drafter, studies: Sequence[Study], decoding: Decoding) -> Callable[[], list[str]]:
    def draft() -> list[str]:
        texts = []
        for report in drafter.draft_all(studies, decoding=decoding, batch_size=len(studies), force=True):
            if isinstance(report, StudyError):
                raise report
            texts.append("\n".join(section.text for section in report.sections))
        return texts

    return draft


def _size_cases(*, against: bool) -> Iterator[Case]:
    for name, transformer in _SIZES.items():
        model = _random_model(transformer)
        other = _unknown(copy.deepcopy(model)) if against else None
        for prefix in _PREFIXES:
            yield Case(
                name=f"greedy, batch 1, {name}, {prefix} tokens before the report",
                units=1,
                unit="text",
                ours=_tokens(model, prefix),
                theirs=None if other is None else _tokens(other, prefix),
            )


def _random_model(transformer: dict[str, Any]) -> ReportModel:
    """Return a model with a tiny encoder and a decoder with random weights."""
    torch.manual_seed(0)
    config = {
        "name": "random",
        "vocabulary_size": _VOCABULARY,
        "encoder": {"name": "test_vit", "image_size": 32, "channels": 1, "arguments": {"img_size": 32}},
        "finding_schema": chest_xray(),
        "projector": {"patch_tokens": 2, "hidden": 16, "dropout": 0.0},
        "decoder": {"transformer": transformer},
    }
    return ReportModel(ModelConfig.model_validate(config)).eval()


def _tokens(model: ReportModel, prefix: int) -> Callable[[], list[tuple[int, ...]]]:
    """Return a function that generates one text of `_LENGTH` tokens after random visual tokens."""
    visual_tokens = torch.randn(1, prefix - 2, model.decoder.width, generator=torch.Generator().manual_seed(0))

    def generate() -> list[tuple[int, ...]]:
        generated = generate_tokens(
            model,
            visual_tokens=visual_tokens,
            visual_mask=torch.ones(visual_tokens.shape[:2], dtype=torch.bool),
            prompt_ids=[[_PROMPT_ID]],
            decoding=Decoding(max_tokens=_LENGTH),
        )
        return [text.token_ids for text in generated]

    return generate
