"""The report model: batches with and without images or texts, finding states and attributes."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest
import torch

from report_gen.config import STATES, DecoderConfig, FindingConfig, ModelConfig, ProjectorConfig
from report_gen.model import VisualFeatures
from report_gen.records import FindingState
from tests.builders import FINDINGS, SIZE, tiny_config, tiny_model

B, V, L = 2, 3, 5


def batch(*, images: bool = True, texts: bool = True) -> dict[str, torch.Tensor]:
    views, length = V * images, L * texts
    return {
        "pixel_values": torch.randn(B, views, 1, SIZE, SIZE),
        "view_positions": torch.zeros(B, views, dtype=torch.long),
        "view_mask": torch.ones(B, views, dtype=torch.bool),
        "input_ids": torch.full((B, length), 9),
        "attention_mask": torch.ones(B, length, dtype=torch.long),
        "finding_states": torch.full((B, 17), 3),
    }


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention", "numbers"])
@torch.inference_mode()
def test_images_and_texts_may_each_be_missing(conditioning: str) -> None:
    model = tiny_model(tiny_config(conditioning=conditioning))
    both = model(**batch())
    assert both.logits.shape == (B, L, model.config.vocabulary_size)
    assert both.finding_logits.shape == (B, 17)
    images = model(**batch(texts=False))
    assert images.logits is None
    assert images.finding_logits is not None
    texts = model(**batch(images=False))
    assert texts.logits.shape == both.logits.shape
    assert texts.finding_logits is None


@torch.inference_mode()
def test_stored_patch_features_replace_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs = tiny_model(), batch()
    expected = model(**inputs)
    features = model.encoder(inputs["pixel_values"].flatten(0, 1)).unflatten(0, (B, V))
    monkeypatch.setattr(model.encoder, "forward", lambda _: pytest.fail("the encoder was run"))
    found = model(**inputs | {"pixel_values": inputs["pixel_values"][:, :0], "patch_features": features})
    assert torch.equal(found.logits, expected.logits)
    assert torch.equal(found.finding_logits, expected.finding_logits)
    short = model(**inputs | {"patch_features": features.half()})
    torch.testing.assert_close(short.finding_logits, expected.finding_logits, atol=1e-2, rtol=1e-2)


@torch.inference_mode()
def test_empty_patch_features_are_none() -> None:
    model, inputs = tiny_model(), batch()
    found = model(**inputs, patch_features=torch.empty(B, 0, 0, 0))
    assert torch.equal(found.logits, model(**inputs).logits)


@pytest.mark.parametrize("images", [True, False])
@torch.inference_mode()
def test_several_texts_of_a_study_share_its_images(images: bool) -> None:
    model, inputs = tiny_model(), batch(images=images)
    texts = torch.arange(4, 4 + 3 * B * L).reshape(3 * B, L)
    together = model(**inputs | {"input_ids": texts, "attention_mask": torch.ones_like(texts)})
    apart = [model(**inputs | {"input_ids": texts[start : start + B]}).logits for start in (0, B, 2 * B)]
    torch.testing.assert_close(together.logits, torch.cat(apart))


@torch.inference_mode()
def test_the_tokens_of_the_findings_come_first() -> None:
    model = tiny_model()
    inputs, states = batch(), torch.full((B, 17), 1)
    visual = model.encode_images(inputs["pixel_values"], inputs["view_positions"], inputs["view_mask"])
    tokens, mask = model.visual_tokens(states, visual)
    assert torch.equal(tokens[:, :17], model.projector.finding_tokens(states, visual))
    assert torch.equal(tokens[:, 17:], visual.patch_tokens)
    assert mask.all()
    assert mask.shape == (B, 19)


def test_states_by_thresholds() -> None:
    present, uncertain = [None] * 17, [None] * 17
    present[2], present[3], uncertain[3] = 0.5, 0.75, 0.25
    model = tiny_model(tiny_config(findings={"present": present, "uncertain": uncertain}))
    probabilities = torch.full((4, 17), 0.99)
    probabilities[:, 2] = torch.tensor([0.0, 0.49, 0.5, 1.0])
    probabilities[:, 3] = torch.tensor([0.24, 0.25, 0.74, 0.75])
    states = [[STATES[state] for state in row] for row in model.decide(probabilities).tolist()]
    absent, present_state, possible = FindingState.ABSENT, FindingState.PRESENT, FindingState.UNCERTAIN
    assert [row[2] for row in states] == [absent, absent, present_state, present_state]
    assert [row[3] for row in states] == [absent, possible, possible, present_state]
    assert {row[finding] for row in states for finding in range(17) if finding not in (2, 3)} == {FindingState.UNKNOWN}


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_thresholds_lie_between_0_and_1(value: float) -> None:
    with pytest.raises(pydantic.ValidationError, match=r"outside 0\.\.1"):
        FindingConfig(present=(value,))


def test_thresholds_have_the_length_of_the_schema() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"findings\.present has 16 values, .*'chest_xray' has 17"):
        tiny_config(findings={"present": (0.5,) * 16})
    with pytest.raises(pydantic.ValidationError, match=r"findings\.trained has 1 values, .*'chest_xray' has 17"):
        tiny_config(findings={"trained": (True,), "present": (None,) * 17})


def test_findings_are_unknown_without_thresholds() -> None:
    with pytest.raises(pydantic.ValidationError, match="greater than 0"):
        FindingConfig(temperature=0, present=())
    assert tiny_config().findings == FindingConfig.unknown(17)
    assert not any(FindingConfig.unknown(17).reported)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="3 heads cannot share a width of 32"):
        DecoderConfig(width=32, heads=3)
    with pytest.raises(pydantic.ValidationError, match="patch_tokens"):
        ProjectorConfig(patch_tokens=-1)


def test_a_configuration_survives_json() -> None:
    config = tiny_config(findings={"present": [0.1] * len(FINDINGS)}, projector={"patch_tokens": "all"})
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


SEQUENCES = [{"kind": kind, "width": 16, "heads": 2} for kind in ("mean", "recurrent", "attention")]


def offsets(step: float) -> torch.Tensor:
    return torch.tensor([[[step * view, float("nan"), 0.0] for view in range(V)]] * B)


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention", "numbers"])
@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence["kind"])
@torch.inference_mode()
def test_every_conditioning_gets_the_views_through_the_sequence_encoder(
    conditioning: str, sequence: dict[str, Any]
) -> None:
    model, inputs = tiny_model(tiny_config(conditioning=conditioning, sequence=sequence)), batch()
    near, far, unknown = (model(**inputs, view_offsets=given) for given in (offsets(1), offsets(30), None))
    plain = tiny_model(tiny_config(conditioning=conditioning))(**inputs)
    knows_offsets = sequence["kind"] != "mean"
    for one, other in ((near, far), (near, unknown)):
        assert (not torch.equal(one.finding_logits, other.finding_logits)) == knows_offsets
        assert (not torch.equal(one.logits, other.logits)) == knows_offsets
    assert not torch.allclose(near.finding_logits, plain.finding_logits, atol=1e-3)
    averages_anyway = conditioning == "numbers" and not knows_offsets
    assert torch.allclose(near.logits, plain.logits, atol=1e-3) == averages_anyway


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence["kind"])
@torch.inference_mode()
def test_stored_patch_features_pass_the_sequence_encoder(sequence: dict[str, Any]) -> None:
    model, inputs = tiny_model(tiny_config(sequence=sequence)), batch() | {"view_offsets": offsets(4)}
    features = model.encoder(inputs["pixel_values"].flatten(0, 1)).unflatten(0, (B, V))
    found = model(**inputs | {"pixel_values": inputs["pixel_values"][:, :0], "patch_features": features})
    assert torch.equal(found.finding_logits, model(**inputs).finding_logits)


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence["kind"])
@torch.inference_mode()
def test_views_that_become_one_take_the_positions_of_one(sequence: dict[str, Any]) -> None:
    model = tiny_model(tiny_config(sequence=sequence, projector={"patch_tokens": "all", "hidden": 16}))
    inputs, patches = batch(), model.encoder.grid**2
    visual = model.encode_images(inputs["pixel_values"], inputs["view_positions"], inputs["view_mask"])
    tokens, _ = model.visual_tokens(torch.full((B, 17), 1), visual)
    expected = patches if sequence["kind"] == "mean" else V * patches
    assert visual.finding_attention.shape == (B, 17, expected)
    assert model.visual_positions(V) == tokens.shape[1] == 17 + expected
    assert model.visual_positions(0) == 17


ATTRIBUTES = [
    {"name": "modality", "values": ["CT", "MR"]},
    {"name": "plane", "values": ["axial", "coronal", "sagittal"]},
]


@torch.inference_mode()
def test_the_tokens_of_attributes_come_between_findings_and_patches() -> None:
    model, inputs, states = tiny_model(tiny_config(attributes=ATTRIBUTES)), batch(), torch.full((B, len(FINDINGS)), 1)
    visual = model.encode_images(inputs["pixel_values"], inputs["view_positions"], inputs["view_mask"])
    values = torch.tensor([[1, 3]] * B)
    tokens, mask = model.visual_tokens(states, visual, values)
    first, count = len(FINDINGS), len(FINDINGS) + 2
    assert torch.equal(tokens[:, first:count], model.projector.attribute_tokens(values))
    assert torch.equal(tokens[:, count:], visual.patch_tokens)
    assert mask.all()
    unknown, _ = model.visual_tokens(states, visual)
    assert torch.equal(unknown[:, first:count], model.projector.attribute_tokens(torch.zeros_like(values)))
    alone, _ = model.visual_tokens(states, None, values)
    assert torch.equal(alone[:, first:], tokens[:, first:count])


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention"])
@torch.inference_mode()
def test_an_attribute_value_changes_the_text_logits(conditioning: str) -> None:
    model = tiny_model(tiny_config(attributes=ATTRIBUTES, conditioning=conditioning))
    inputs = batch()
    one, other = (model(**inputs, attribute_values=torch.tensor([[value, 0]] * B)) for value in (1, 2))
    assert not torch.allclose(one.logits, other.logits, atol=1e-3)
    assert [torch.equal(*pair) for pair in zip(one.attribute_logits, other.attribute_logits, strict=True)] == [True] * 2
    assert model(**batch(images=False)).attribute_logits == ()


@torch.inference_mode()
def test_the_most_probable_attribute_values_are_decided() -> None:
    model = tiny_model(tiny_config(attributes=ATTRIBUTES))
    visual = VisualFeatures(
        *[torch.zeros(2, 1)] * 5, (torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([[0.0, 0, 9], [9, 0, 0]]))
    )
    assert model.decide_attributes(visual).tolist() == [[1, 3], [2, 1]]
    assert model.decide_attributes(VisualFeatures(*[torch.zeros(2, 1)] * 5)).shape == (2, 0)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([{"name": "side", "values": ["left"]}], "modality"),
        ([{"name": "plane", "values": ["axial", "axial"]}], "a duplicate or an empty value"),
        ([{"name": "plane", "values": ["axial", ""]}], "a duplicate or an empty value"),
        ([{"name": "plane", "values": []}], "at least 1"),
        ([ATTRIBUTES[0], ATTRIBUTES[0]], "a duplicate"),
    ],
)
def test_malformed_attributes_are_refused(attributes: list[dict[str, object]], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        tiny_config(attributes=attributes)
