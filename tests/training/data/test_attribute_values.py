"""A model learns to recognize the modality and plane of an image and to name them: from the corpus to the scores."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.data.attribute_values import choose_attributes
from report_gen_training.engine.model_building import build_model
from report_gen_training.engine.session import train
from report_gen_training.recipe import ModelRecipe

from report_gen.config import AttributeConfig
from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.errors import RecipeError, UsageError
from report_gen.evaluation import Evaluation, evaluate, select_studies, write_evaluation
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.metrics import ScoreMethod
from report_gen.model import load_checkpoint
from report_gen.records import Attribute, AttributeName, Report
from tests.builders import corner_image, noise_image, tiny_recipe, tokenizer, write_manifest, write_png
from tests.dicom_files import write_dicom

FINDINGS = chest_xray().findings

BRIEF = Decoding(max_tokens=30)
CORNERS = (("CT", "axial"), ("CT", "coronal"), ("MR", "axial"), ("MR", "coronal"))
"""Modality and plane of an image, by its bright corner."""


def write_corpus(data: Path) -> Path:
    """Write four images per split whose captions name modality and plane, and one training image of a rare modality."""
    write_png(data / "images" / "rare.png", noise_image())
    rare = {"study_id": "rare", "images": ["rare.png"], "findings": "Fluoroscopy.", "modality": "RF", "plane": ""}
    rows: list[dict[str, Any]] = [rare]
    for split in ("train", "val", "test"):
        for corner, (modality, plane) in enumerate(CORNERS):
            name = f"{split}-{corner}"
            write_png(data / "images" / f"{name}.png", corner_image(corner))
            caption = f"{plane.title()} {modality} image."
            row = {"study_id": name, "images": [f"{name}.png"], "findings": caption, "split": split}
            rows.append(row | {"modality": modality, "plane": plane})
    write_manifest(data / "images", rows)
    return data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    """A run without patch tokens, so that drafts can only follow the attributes."""
    plain = tiny_recipe(data)
    stage = {
        "steps": 240,
        "validate_every": 120,
        "checkpoint_metric": "loss",
        "finding_weight": 0.0,
        "assume_absent": 0.0,
        "attribute_dropout": 0.0,
        "rates": {"encoder": 1e-3, "projector": 2e-2, "decoder": 5e-3},
    }
    model = plain.model.model_dump() | {
        "projector": {"patch_tokens": 0, "hidden": 16, "dropout": 0.0},
        "attributes": ["modality", "plane"],
        "attribute_support": 2,
    }
    text = {"vocabulary_size": 130, "max_report_tokens": 60}
    train(tiny_recipe(data, stage=stage, model=model, text=text), data / "run", resume=False, on_step=lambda _: None)
    return data / "run"


@pytest.fixture(scope="module")
def drafter(run: Path) -> Drafter:
    return Drafter.load(run / "best")


def caption(report: Report) -> str:
    return " ".join(section.text for section in report.sections)


def values(report: Report) -> dict[str, str]:
    return {attribute.name: attribute.value for attribute in report.attributes}


def test_values_of_enough_images_are_used(run: Path) -> None:
    modality, plane = load_checkpoint(run / "best").model.config.attributes
    assert (modality.name, modality.values) == ("modality", ("CT", "MR"))
    assert (plane.name, plane.values) == ("plane", ("axial", "coronal"))


def test_the_log_has_the_loss_and_the_accuracy(run: Path) -> None:
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [record["attribute_loss"] for record in records if record["kind"] == "step"]
    assert losses[0] == pytest.approx(torch.tensor(2.0).log().item(), rel=1e-4)  # two values each, untrained
    assert losses[-1] < 0.1
    last = [record for record in records if record["kind"] == "validation"][-1]
    assert last["accuracies"] == {"modality": 1.0, "plane": 1.0}


def test_drafts_name_modality_and_plane(drafter: Drafter, data: Path) -> None:
    for corner, (modality, plane) in enumerate(CORNERS):
        report = drafter.draft(read_study(data / "images" / f"test-{corner}.png"), decoding=BRIEF)
        assert values(report) == {"modality": modality, "plane": plane}
        assert caption(report) == f"{plane.title()} {modality} image."
        assert all((one.probability or 0) > 0.9 and one.predicted == one.value for one in report.attributes)


def test_an_overridden_attribute_changes_the_draft(drafter: Drafter, data: Path) -> None:
    study = read_study(data / "images" / "test-0.png")
    report = drafter.draft(study, decoding=BRIEF, attributes={"plane": "coronal"})
    assert caption(report) == "Coronal CT image."
    plane = report.attributes[1]
    assert (plane.value, plane.predicted, plane.overridden, plane.from_header) == ("coronal", "axial", True, False)
    assert (plane.probability or 1) < 0.1
    with pytest.raises(UsageError, match="plane 'oblique' is not known to the model"):
        drafter.draft(study, attributes={"plane": "oblique"})


def test_the_header_has_precedence_over_the_image(drafter: Drafter, tmp_path: Path) -> None:
    pixels = corner_image(0).astype("uint16")
    for modality, value, known in (("MR", "MR", True), ("CR", "CT", False)):
        study = read_study(write_dicom(tmp_path / f"{modality}.dcm", pixels, Modality=modality))
        first = drafter.draft(study, decoding=BRIEF).attributes[0]
        assert (first.value, first.predicted, first.from_header) == (value, "CT", known)


def test_a_blank_image_has_unknown_attributes(drafter: Drafter, tmp_path: Path) -> None:
    report = drafter.draft(read_study(write_png(tmp_path / "blank.png", corner_image(0) * 0)))
    assert report.attributes == (Attribute(name="modality", value=""), Attribute(name="plane", value=""))


@pytest.fixture(scope="module")
def evaluated(drafter: Drafter, data: Path) -> Evaluation:
    rows = [row for row in select_studies(read_corpus(data / "images"), "all") if row["study_id"] != "rare"]
    method = ScoreMethod(draws=200, java=False)
    return evaluate(drafter, rows, decoding=BRIEF, method=method, track=lambda items, *_: items)


def test_named_and_recognized_attributes_depend_on_the_images(evaluated: Evaluation, tmp_path: Path) -> None:
    assert evaluated.attribute_support == {"modality": {"CT": 6, "MR": 6}, "plane": {"axial": 6, "coronal": 6}}
    for control in ("shuffled", "blank"):
        by_name = {one.name: one for one in evaluated.attributes[control]}
        assert list(by_name) == ["modality named", "modality recognized", "plane named", "plane recognized"]
        for one in by_name.values():
            assert one.second == 1
            assert one.first < 0.8
            assert one.interval[0] > 0
    write_evaluation(evaluated, tmp_path / "e.json")
    written = json.loads((tmp_path / "e.json").read_text())
    assert written["attribute_support"]["plane"] == {"axial": 6, "coronal": 6}
    assert written["attributes"]["blank"]["plane named"]["second"] == 1


class Counted:
    """A stand-in for a store of examples."""

    def __init__(self, **counts: dict[str, int]) -> None:
        self._counts = counts

    def attribute_counts(self, name: AttributeName) -> Counter[str]:
        return Counter(self._counts.get(name, {}))


def chosen(support: int, *names: str) -> tuple[AttributeConfig, ...]:
    recipe = ModelRecipe.model_validate(
        {"encoder": {"name": "test_vit"}, "attributes": names, "attribute_support": support}
    )
    stores: Any = {
        "a": {"train": Counted(modality={"MR": 10, "CT": 15, "US": 1}), "val": Counted(modality={"US": 99})},
        "b": {"train": Counted(modality={"MR": 10}, plane={"axial": 50})},
    }
    return choose_attributes(recipe, stores)


def test_training_studies_of_all_corpora_count_together() -> None:
    assert chosen(20) == ()
    assert [one.values for one in chosen(15, "modality")] == [("CT", "MR")]
    assert [one.values for one in chosen(1, "modality")] == [("CT", "MR", "US")]


@pytest.mark.parametrize(("support", "name", "count"), [(16, "modality", 1), (1, "plane", 1), (1, "body_part", 0)])
def test_an_attribute_with_too_few_values_is_refused(support: int, name: str, count: int) -> None:
    with pytest.raises(RecipeError, match=f"'{name}', but only {count} of its values have {support} training studies"):
        chosen(support, name)


def test_attributes_need_decoder_positions(tmp_path: Path) -> None:
    attributes = (AttributeConfig(name="plane", values=("axial", "coronal")),)
    model = tiny_recipe(tmp_path).model.model_dump()

    def build(positions: int, *, attributes: tuple[AttributeConfig, ...] = ()) -> None:
        changed = model | {"decoder": model["decoder"] | {"positions": positions}}
        build_model(tiny_recipe(tmp_path, model=changed), tokenizer().vocabulary_size, attributes=attributes)

    enough = len(FINDINGS) + 2 + 1 + 60 + 1  # findings, patches, begin, report, end
    build(enough)
    build(enough + 1, attributes=attributes)
    with pytest.raises(RecipeError, match="visual tokens"):
        build(enough, attributes=attributes)
