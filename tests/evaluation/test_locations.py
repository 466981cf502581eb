"""Locations against boxes: a model whose attention follows the brightness, and a substitute that states sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from report_gen.config import ModelConfig
from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter, DraftRequest
from report_gen.evaluation import Evaluation, evaluate, select_studies, training_boxes, write_evaluation
from report_gen.generation import Decoding
from report_gen.labeling import chest_xray
from report_gen.metrics import LocationRun, ScoreMethod
from report_gen.model import VisualFeatures
from report_gen.records import (
    Finding,
    FindingAttention,
    FindingLocation,
    FindingState,
    Report,
    Side,
    Study,
    Zone,
    parse_report,
)
from tests.builders import SIZE, THRESHOLDS, tiny_checkpoint, tiny_config, write_manifest, write_png
from tests.image_steps import anatomy

METHOD = ScoreMethod(draws=200, java=False)
DECODING = Decoding(max_tokens=4)


def spot(rows: int, columns: int, center: tuple[float, float]) -> NDArray[np.uint8]:
    """A dark image [rows, columns] with a bright disk around a center (x, y), in shares of width and height."""
    y, x = np.mgrid[:rows, :columns]
    distance = np.hypot(x + 0.5 - center[0] * columns, y + 0.5 - center[1] * rows)
    return np.where(distance < 9, 250, 20).astype(np.uint8)


def bright_attention(**changes: Any) -> Drafter:
    """A drafter whose attention is that of the brightest of 8 x 8 patches, for every finding."""
    plain = tiny_config(findings={"present": THRESHOLDS}, **changes).model_dump()
    plain["encoder"]["arguments"] = {"img_size": SIZE, "patch_size": SIZE // 8}
    checkpoint = tiny_checkpoint(ModelConfig.model_validate(plain))
    model, encode_images = checkpoint.model, checkpoint.model.encode_images

    def encode(pixel_values: torch.Tensor, *inputs: Any) -> VisualFeatures:
        visual = encode_images(pixel_values, *inputs)
        patches = F.adaptive_avg_pool2d(pixel_values.mean(2), model.encoder.grid).flatten(1)  # [B,V*N]
        weights = (8 * patches).softmax(-1)[:, None].expand_as(visual.finding_attention)
        return replace(visual, finding_attention=weights)

    model.encode_images = encode  # type: ignore[method-assign]
    return Drafter.from_checkpoint(checkpoint)


def box(finding: str, center: tuple[float, float], half: tuple[float, float]) -> dict[str, Any]:
    (x, y), (width, height) = center, half
    return {"finding": finding, "left": x - width, "top": y - height, "right": x + width, "bottom": y + height}


CENTERS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75), (0.25, 0.5), (0.75, 0.5))


def corpus(folder: Path, *, rows: int = 64, columns: int = 64, splits: Sequence[str] = ("test",)) -> Path:
    """Six studies in each split, each with a bright disk and a box around it, and a study without boxes."""
    manifest: list[dict[str, Any]] = []
    half = (11 / columns, 11 / rows)
    for split in splits:
        for number, center in enumerate(CENTERS):
            name = f"{split}-{number}"
            write_png(folder / f"{name}.png", spot(rows, columns, center))
            boxes = [box("Pneumonia", center, half)]
            manifest.append(
                {"study_id": name, "images": [f"{name}.png"], "Pneumonia": 1, "split": split, "finding_boxes": boxes}
            )
    write_png(folder / "none.png", spot(rows, columns, (0.5, 0.5)))
    manifest.append({"study_id": "none", "images": ["none.png"], "Pneumonia": 1, "split": "test"})
    return write_manifest(folder, manifest)


def evaluated(drafter: Any, folder: Path, split: str = "test") -> Evaluation:
    studies = list(read_corpus(folder))
    rows = select_studies(studies, split)
    return evaluate(drafter, rows, decoding=DECODING, method=METHOD, boxes=training_boxes(studies, rows))


def locations(result: Evaluation) -> LocationRun:
    assert result.locations is not None
    return result.locations


def value(run: LocationRun, kind: str) -> float:
    score = run.find("all findings", kind)
    assert score is not None
    return score.value


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (96, 48), (48, 96)])
def test_attention_that_follows_the_image_hits_in_images_of_any_shape(rows: int, columns: int, tmp_path: Path) -> None:
    result = evaluated(bright_attention(), corpus(tmp_path, rows=rows, columns=columns))
    run = locations(result)
    assert run.support["all findings"].pairs == len(CENTERS)  # the study without boxes is none of them
    assert value(run, "pointing game") == 1
    area = 22 / columns * 22 / rows
    assert value(run, "area of boxes") == pytest.approx(area, abs=1e-6)
    assert value(run, "attention in boxes") > 3 * area
    for control in ("shuffled", "blank"):
        by_name = {one.name: one for one in run.image_use[control]}
        pointing = by_name["all findings pointing game"]
        assert pointing.first < 0.5
        assert pointing.second == 1
        assert pointing.interval[0] > 0
    assert not [verdict for verdict in result.verdicts if "boxes" in verdict.text]


def test_boxes_of_a_cropped_image_are_in_shares_of_the_whole_image(tmp_path: Path) -> None:
    """Preprocessing leaves the right half of the image to the model, so the box is in the right half as well."""
    manifest = []
    for number in range(2):
        pixels = np.zeros((64, 128), dtype=np.uint8)
        pixels[:, 64:] = 120 * anatomy(64, 64)
        pixels[20:30, 90:100] = 255
        write_png(tmp_path / f"{number}.png", pixels)
        boxes = [box("Pneumonia", (95 / 128, 25 / 64), (7 / 128, 7 / 64))]
        manifest.append({"study_id": str(number), "images": [f"{number}.png"], "Pneumonia": 1, "finding_boxes": boxes})
    drafter = bright_attention(preprocessing=[{"name": "crop_borders"}])
    run = locations(evaluated(drafter, write_manifest(tmp_path, manifest), split="train"))
    assert value(run, "pointing game") == 1


def test_attention_that_ignores_the_image_gets_a_verdict(tmp_path: Path) -> None:
    drafter = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(findings={"present": THRESHOLDS})))
    with torch.no_grad():
        drafter.generator._model.projector.finding_queries.zero_()
    result = evaluated(drafter, corpus(tmp_path))
    run = locations(result)
    assert value(run, "pointing game") == pytest.approx(4 / 6 * 1 / 4)  # one of four patches, for four boxes
    assert value(run, "attention in boxes") == pytest.approx(value(run, "area of boxes"))
    texts = [verdict.text for verdict in result.verdicts]
    assert sum("no score against the boxes is lower" in text for text in texts) == 2


def test_the_class_center_comes_from_patients_that_are_not_evaluated(tmp_path: Path) -> None:
    folder = corpus(tmp_path, splits=("train", "test"))
    studies = list(read_corpus(folder))
    test, train = select_studies(studies, "test"), select_studies(studies, "train")
    assert training_boxes(studies, train) == {}
    boxes = training_boxes(studies, test)
    assert list(boxes) == ["Pneumonia"]
    assert len(boxes["Pneumonia"]) == len(CENTERS)
    same_patient = [{**row, "patient_id": row["study_id"][-1]} for row in studies]
    left = training_boxes(same_patient, [row for row in same_patient if row["study_id"] in ("test-0", "test-5")])
    assert len(left["Pneumonia"]) == len(CENTERS) - 2
    run = locations(evaluated(bright_attention(), folder))
    assert run.support["Pneumonia"].center == len(CENTERS)
    assert value(run, "pointing game of the class center") < 0.5


class Localizer:
    """A substitute for a drafter that states a fixed location, and looks at the upper left patch of 2 x 2."""

    reported = frozenset({"Pneumonia", "Cardiomegaly"})

    def __init__(self, location: FindingLocation) -> None:
        self.location = location

    def draft_all(
        self,
        studies: Sequence[DraftRequest],
        *,
        on_attention: Callable[[Study, FindingAttention], None],
        blank: bool = False,
        **_: Any,
    ) -> Iterator[Report]:
        for study in (request.study for request in studies):
            if study.name == "silent":
                yield report(self.location)
                continue
            weights = {name: np.array([[1, 0], [0, 0]], dtype=np.float32) for name in chest_xray().stated}
            on_attention(study, FindingAttention(image=study.images[0], square=(0, 0, 1, 1), weights=weights))
            yield report(self.location)


def report(location: FindingLocation) -> Report:
    provenance: Any = None
    findings = tuple(
        Finding(name=name, state=FindingState.PRESENT, probability=0.5, location=location)
        for name in chest_xray().findings
    )
    return Report(sections=parse_report("Edema."), findings=findings, notices=(), provenance=provenance)


def located_corpus(folder: Path, boxes: dict[str, list[dict[str, Any]]], **columns: Any) -> Path:
    rows = []
    for name, of_study in boxes.items():
        write_png(folder / f"{name}.png", spot(16, 16, (0.5, 0.5)))
        row = {"study_id": name, "images": [f"{name}.png"], "Pneumonia": 1, "split": "test", "finding_boxes": of_study}
        rows.append(row | columns)
    return write_manifest(folder, rows)


def test_the_left_of_an_image_is_the_right_of_the_patient(tmp_path: Path) -> None:
    small = (0.1, 0.1)
    boxes = {
        "left of the image": [box("Pneumonia", (0.25, 0.25), small)],
        "right of the image": [box("Pneumonia", (0.75, 0.25), small)],
        "both": [box("Pneumonia", (0.25, 0.25), small), box("Pneumonia", (0.75, 0.25), small)],
        "heart": [box("Cardiomegaly", (0.5, 0.7), (0.25, 0.15))],
        "unknown to the model": [box("Support Devices", (0.25, 0.25), small)],
        "silent": [box("Pneumonia", (0.25, 0.25), small)],
        "no box": [],
    }
    right = FindingLocation(Side.RIGHT, frozenset({Zone.UPPER}))
    run = locations(evaluated(Localizer(right), located_corpus(tmp_path, boxes)))
    assert [(pair.study, pair.finding, pair.side) for pair in run.pairs] == [
        ("left of the image", "Pneumonia", "right"),
        ("right of the image", "Pneumonia", "left"),
        ("both", "Pneumonia", "both"),
        ("heart", "Cardiomegaly", "midline"),
    ]
    assert [pair.pointing for pair in run.pairs] == [1, 0, 1, 0]
    assert value(run, "side correct when stated") == pytest.approx(1 / 3)
    assert value(run, "side stated") == 1
    assert value(run, "zone overlap when stated") == 1
    assert run.sides == {"right": {"right": 1}, "left": {"right": 1}, "both": {"right": 1}, "midline": {"right": 1}}


def test_boxes_in_lateral_images_are_not_scored(tmp_path: Path) -> None:
    boxes = {str(number): [box("Pneumonia", (0.25, 0.25), (0.1, 0.1))] for number in range(2)}
    assert evaluated(Localizer(FindingLocation()), located_corpus(tmp_path, boxes, views=["LATERAL"])).locations is None


def test_only_boxes_of_the_image_of_the_attention_are_scored(tmp_path: Path) -> None:
    """The attention of the substitute is that of the first of two images."""
    rows = []
    for number, index in enumerate((0, 1)):
        for view in "ab":
            write_png(tmp_path / f"{number}{view}.png", spot(16, 16, (0.5, 0.5)))
        boxes = [box("Pneumonia", (0.25, 0.25), (0.1, 0.1)) | {"image": index}]
        images = [f"{number}a.png", f"{number}b.png"]
        rows.append(
            {"study_id": str(number), "images": images, "Pneumonia": 1, "split": "test", "finding_boxes": boxes}
        )
    run = locations(evaluated(Localizer(FindingLocation()), write_manifest(tmp_path, rows)))
    assert [pair.study for pair in run.pairs] == ["0"]


def test_the_file_has_the_scores_and_the_pairs(tmp_path: Path) -> None:
    boxes = {str(number): [box("Pneumonia", (0.25, 0.25), (0.1, 0.1))] for number in range(6)}
    right = FindingLocation(Side.RIGHT, frozenset({Zone.UPPER, Zone.MID}))
    write_evaluation(evaluated(Localizer(right), located_corpus(tmp_path, boxes)), tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())["locations"]
    assert found["scores"][0] == {
        "name": "all findings pointing game",
        "value": 1,
        "interval": [1, 1],
        "signature": "location:boxes|form:pairs,unit:patient",
    }
    assert found["support"]["Pneumonia"] == {"pairs": 6, "sided": 6, "zoned": 6, "center": 0}
    assert found["pairs"][0] == {
        "study": "0",
        "finding": "Pneumonia",
        "pointing": 1,
        "mass": pytest.approx(1 * 0.2 * 0.2 / 0.25),
        "side": "right",
        "stated_side": "right",
        "zones": ["upper"],
        "stated_zones": ["upper", "mid"],
    }
    assert found["image_use"]["blank"][0]["second"] == 1


@pytest.mark.realdata
def test_boxes_of_radiologists_and_the_embedded_model(shared: Path) -> None:
    studies = list(read_corpus(shared / "data" / "nih_cxr"))
    rows = [row for row in studies if row["split"] != "test" and row["finding_boxes"]][:3]
    result = evaluate(Drafter.load(), rows, decoding=DECODING, method=METHOD, boxes=training_boxes(studies, rows))
    run = locations(result)
    assert {pair.study for pair in run.pairs} == {row["study_id"] for row in rows}
    assert all(0 <= pair.pointing <= 1 and 0 < pair.mass < 1 for pair in run.pairs)
    assert set(run.image_use) == {"shuffled", "blank"}
