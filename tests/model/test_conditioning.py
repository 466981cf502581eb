"""The interface of the conditioning: traits, positions and inputs of each kind."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from report_gen.config import CONDITIONING_TRAITS, ConditioningName
from report_gen.model import ReportModel, conditioning_type
from tests.builders import FINDINGS, SIZE, tiny_config, tiny_model, tokenizer

NAMES: tuple[ConditioningName, ...] = get_args(ConditioningName)
ATTRIBUTES = [{"name": "modality", "values": ["CT", "MR"]}]
B, V = 2, 2


def build(name: ConditioningName, **projector: object) -> ReportModel:
    sizes = {"patch_tokens": 2, "hidden": 16, "numbers": 4} | projector
    return tiny_model(tiny_config(conditioning=name, attributes=ATTRIBUTES, projector=sizes))


def visual_tokens(model: ReportModel, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pixel_values = torch.randn(B, V, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    visual = model.encode_images(pixel_values, torch.zeros(B, V, dtype=torch.long), torch.ones(B, V, dtype=torch.bool))
    return model.visual_tokens(states, visual)


def test_each_name_has_a_class_and_traits() -> None:
    assert {conditioning_type(name).name for name in NAMES} == set(NAMES) == set(CONDITIONING_TRAITS)


@pytest.mark.parametrize("name", NAMES)
def test_the_traits_are_true(name: ConditioningName) -> None:
    """By experiment: whether states change the visual tokens, and whether a gradient reaches the encoder."""
    model = build(name)
    states = torch.zeros(B, len(FINDINGS), dtype=torch.long)
    tokens, _ = visual_tokens(model, states)
    changed, _ = visual_tokens(model, states + 1)
    traits = model.conditioning.traits
    assert (not torch.equal(tokens, changed)) == traits.uses_findings
    tokens.square().sum().backward()
    assert any(parameter.grad is not None for parameter in model.encoder.parameters()) == traits.trains_encoder


@pytest.mark.parametrize(
    ("name", "patch_tokens", "expected"),
    [
        ("prefix", 2, len(FINDINGS) + 1 + 2),
        ("prefix", "all", len(FINDINGS) + 1 + V * 4),
        ("cross_attention", "all", 0),
        ("numbers", 2, None),
    ],
)
@torch.inference_mode()
def test_positions_are_an_upper_bound(name: ConditioningName, patch_tokens: object, expected: int | None) -> None:
    model = build(name, patch_tokens=patch_tokens)
    assert model.encoder.grid**2 == 4
    tokens, mask = visual_tokens(model, torch.zeros(B, len(FINDINGS), dtype=torch.long))
    ids = torch.full((B, 3), 9)
    inputs = model.decoder.conditioned(tokens, mask, ids, torch.ones_like(ids))
    taken = inputs["attention_mask"].shape[1] - 3
    assert taken <= model.visual_positions(V)
    if expected is not None:
        assert model.visual_positions(V) == taken == expected


@pytest.mark.parametrize("name", NAMES)
def test_only_cross_attention_adds_layers(name: ConditioningName) -> None:
    model = build(name)
    layers = [weight for weight in model.state_dict() if "crossattention" in weight]
    assert bool(layers) == model.conditioning.adds_cross_attention == (name == "cross_attention")


def test_vocabulary_examples_are_the_lines_of_numbers() -> None:
    projector = tiny_config().projector
    assert [list(conditioning_type(name).vocabulary_examples(projector)) for name in NAMES[:2]] == [[], []]
    (line, *_) = conditioning_type("numbers").vocabulary_examples(projector)
    assert line.startswith("The features of the image are: ")
    assert len(line.split(",")) == projector.numbers
    assert tokenizer().decode(tokenizer().encode(line)) == line
