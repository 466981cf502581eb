"""The prefix used in training equals the prefix used in drafting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.data.batches import BatchDataset
from report_gen_training.data.corpus_study import CorpusStudy, unknown_labels
from report_gen_training.data.examples import encode_study
from report_gen_training.data.image_cache import cache_images
from report_gen_training.recipe.schema import AugmentationRecipe, StageRecipe
from report_gen_training.run.events import ignore_progress

from report_gen.drafting import Drafter
from report_gen.generation import Decoding
from report_gen.generation.cached_decoder import CachedDecoder
from report_gen.imaging import read_study
from report_gen.imaging.transform import ImageTransform
from report_gen.labeling import chest_xray
from report_gen.model import Checkpoint, ReportModel
from report_gen.records import ViewPosition, parse_report
from report_gen.tokenizer import BOS_ID
from tests.builders import PROMPT, REPORTS, SIZE, noise_image, store, tiny_config, tiny_model, tokenizer, write_png

FINDINGS = chest_xray().findings


INDICATION = "Cough and fever."
STATES = {"Pleural Effusion": "present", "Edema": "uncertain", "Fracture": "absent"}


class Captured(Exception):  # noqa: N818 - not an error; the test needs no more
    """Raised instead of the forward pass: the inputs of the language model."""

    def __init__(self, call: dict[str, Any]) -> None:
        self.call = call


@pytest.fixture(params=["prefix", "cross_attention", "numbers"])
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ReportModel:
    model = tiny_model(tiny_config(conditioning=request.param))

    def capture_training(_: torch.nn.Module, __: tuple[Any, ...], call: dict[str, Any]) -> None:
        raise Captured(call)

    def capture_drafting(_: CachedDecoder, inputs: dict[str, Any]) -> None:
        raise Captured(inputs)

    model.decoder.language_model.register_forward_pre_hook(capture_training, with_kwargs=True)
    monkeypatch.setattr(CachedDecoder, "begin", capture_drafting)
    return model


def call_in_training(model: ReportModel, paths: list[Path]) -> tuple[dict[str, Any], int]:
    """Return the call of the language model for a batch, and the text length before the report of its first example."""
    study = CorpusStudy(
        labels=unknown_labels(chest_xray()),
        study_id="1",
        patient_id="",
        split="train",
        images=tuple(paths),
        views=(ViewPosition.UNKNOWN,) * len(paths),
        indication=INDICATION,
        sections=parse_report("There is a pleural effusion. Possible pulmonary edema. No fracture."),
        targets=torch.full((17,), torch.nan).numpy(),
    )
    longer = CorpusStudy(**{**vars(study), "indication": INDICATION * 3, "sections": parse_report(REPORTS[0])})
    examples = [encode_study(each, tokenizer(), PROMPT, 160, chest_xray()) for each in (study, longer)]
    stage = StageRecipe(
        name="s", corpora=("c",), steps=1, rates={}, assume_absent=0.0, state_dropout=0.0, indication_dropout=0.0
    )
    transform = ImageTransform(size=SIZE, channels=1, mean=0.5, std=0.5)
    folder = paths[0].parent / "cache"
    images, _ = cache_images(folder, map(str, paths), transform, on_progress=ignore_progress)
    groups, augmentation = [store(*examples)], AugmentationRecipe()
    dataset = BatchDataset(groups, stage, transform, images=images, augmentation=augmentation, training=False)
    (batch,) = dataset.validation_batches(batch_size=2)
    with pytest.raises(Captured) as captured:
        model(
            pixel_values=batch.pixel_values,
            view_positions=batch.view_positions,
            view_mask=batch.view_mask,
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            finding_states=batch.finding_states,
        )
    text_length = int((batch.labels[0] == -100).cumprod(0).sum())
    assert batch.input_ids[0, text_length - 1] == BOS_ID
    return captured.value.call, text_length


def call_in_drafting(model: ReportModel, folder: Path) -> dict[str, Any]:
    drafter = Drafter.from_checkpoint(Checkpoint(model, tokenizer(), PROMPT, "0" * 64))
    overrides: Any = dict.fromkeys(FINDINGS, "not-mentioned") | STATES | {"No Finding": "absent"}
    if not model.conditioning.traits.uses_findings:
        overrides = {}
    with pytest.raises(Captured) as captured:
        drafter.draft(read_study(folder), overrides=overrides, indication=INDICATION, decoding=Decoding())
    return captured.value.call


@pytest.mark.parametrize("views", [1, 2])
def test_the_prefix_of_training_is_the_prefix_of_drafting(model: ReportModel, views: int, tmp_path: Path) -> None:
    paths = [write_png(tmp_path / f"{view}.png", noise_image(view)) for view in range(views)]
    training, length = call_in_training(model, paths)
    drafting = call_in_drafting(model, tmp_path)
    if model.conditioning.adds_cross_attention:
        torch.testing.assert_close(training["encoder_hidden_states"][:1], drafting["encoder_hidden_states"])
        assert torch.equal(training["input_ids"][:1, :length], drafting["input_ids"])
    else:
        visual = drafting["inputs_embeds"].shape[1] - length
        assert visual == len(FINDINGS) + 2 or not model.conditioning.traits.uses_findings
        length += visual
        torch.testing.assert_close(training["inputs_embeds"][:1, :length], drafting["inputs_embeds"])
    assert torch.equal(training["position_ids"][0, :length], torch.arange(length))  # as those of a `KeyValueCache`
    assert training["attention_mask"][0, :length].all()
    assert drafting["attention_mask"].all()
