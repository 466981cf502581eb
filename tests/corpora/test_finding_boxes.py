"""The side and zone that boxes imply, and boxes in manifests."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from report_gen.corpora import FindingBox, boxes_of_kept_images, location_of_boxes, read_corpus
from report_gen.corpus_qc import leave_out_missing, rows_of
from report_gen.errors import CorpusError
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, Side, Zone


def across(*spans: tuple[float, float]) -> list[FindingBox]:
    return [FindingBox("Edema", left, 0.4, right, 0.6) for left, right in spans]


@pytest.mark.parametrize(
    ("spans", "side"),
    [
        ([(0.1, 0.3)], Side.RIGHT),  # the left half of a frontal image shows the patient's right side
        ([(0.7, 0.9)], Side.LEFT),
        ([(0.2, 0.55)], Side.RIGHT),  # 14% of the box are beyond the midline
        ([(0.47, 0.8)], Side.LEFT),
        ([(0.1, 0.8)], Side.BOTH),  # 43% of the box are beyond the midline
        ([(0.46, 0.54)], Side.MIDLINE),  # narrower than the mediastinum
        ([(0.1, 0.3), (0.2, 0.4)], Side.RIGHT),
        ([(0.1, 0.3), (0.7, 0.9)], Side.BOTH),
        ([(0.1, 0.3), (0.46, 0.54)], Side.RIGHT),
        ([(0.1, 0.8), (0.7, 0.9)], Side.BOTH),
        ([], Side.UNKNOWN),
    ],
)
def test_the_side_of_boxes(spans: list[tuple[float, float]], side: Side) -> None:
    assert location_of_boxes(across(*spans), paired=True).side == side


def test_an_image_that_is_flipped_has_the_other_side() -> None:
    opposite = {Side.RIGHT: Side.LEFT, Side.LEFT: Side.RIGHT, Side.BOTH: Side.BOTH, Side.MIDLINE: Side.MIDLINE}
    for number in range(1, 64):
        for width in range(1, 65 - number):
            left, right = number / 64, (number + width) / 64
            flipped = location_of_boxes(across((1 - right, 1 - left)), paired=True).side
            assert flipped == opposite[location_of_boxes(across((left, right)), paired=True).side]


def test_a_finding_of_the_midline_has_no_other_side_and_no_zone() -> None:
    heart = across((0.3, 0.8))
    assert location_of_boxes(heart, paired=False) == FindingLocation(Side.MIDLINE)
    assert location_of_boxes([], paired=False) == UNKNOWN_LOCATION


@pytest.mark.parametrize(
    ("spans", "zones"),
    [
        ([(0.1, 0.3)], {Zone.UPPER}),
        ([(0.35, 0.55)], {Zone.MID}),
        ([(0.6, 0.8)], {Zone.LOWER}),
        ([(0.9, 0.95)], {Zone.LOWER}),
        ([(0.24, 0.38)], {Zone.UPPER}),  # 57% of the box are above the mid zone
        ([(0.19, 0.45)], {Zone.UPPER, Zone.MID}),
        ([(0.15, 0.6)], {Zone.UPPER, Zone.MID}),  # less than half of the lower zone
        ([(0.1, 0.3), (0.65, 0.9)], {Zone.UPPER, Zone.LOWER}),
        ([(0.1, 0.77)], {Zone.UPPER, Zone.MID, Zone.LOWER}),
        ([], set()),
    ],
)
def test_the_zones_of_boxes(spans: list[tuple[float, float]], zones: set[Zone]) -> None:
    boxes = [FindingBox("Edema", 0.1, top, 0.3, bottom) for top, bottom in spans]
    assert location_of_boxes(boxes, paired=True).zones == zones


@pytest.mark.parametrize(
    "edges", [(0.5, 0.1, 0.5, 0.2), (-0.1, 0.1, 0.5, 0.2), (0.1, 0.1, 0.5, 1.1), (0.1, float("nan"), 0.5, 0.2)]
)
def test_a_box_without_area_or_outside_the_image_is_not_valid(edges: tuple[float, ...]) -> None:
    assert not FindingBox("Edema", *edges).is_valid


def test_boxes_follow_their_image_when_others_are_left_out() -> None:
    boxes = [FindingBox("Edema", 0.1, 0.1, 0.2, 0.2, image) for image in (0, 1, 2, 2)]
    assert [box.image for box in boxes_of_kept_images(boxes, [False, True, True])] == [0, 1, 1]
    assert [box.image for box in boxes_of_kept_images(boxes, [True, False, True])] == [0, 1, 1]


BOX = {"finding": "Edema", "left": 0.25, "top": 0.5, "right": 0.5, "bottom": 0.75, "image": 1}


def write_manifest(folder: Path, **columns: Any) -> Path:
    row = {"study_id": "1", "images": ["a.png", "b.png"], "findings": "Edema."} | columns
    (folder / "manifest.jsonl").write_text(json.dumps(row))
    (folder / "b.png").touch()
    return folder


@pytest.mark.parametrize("keep", [False, None])
def test_boxes_of_a_manifest_keep_their_image_if_another_is_missing(tmp_path: Path, keep: bool | None) -> None:
    dataset = read_corpus(write_manifest(tmp_path, finding_boxes=[BOX]), require_images=keep)
    if keep is None:
        assert dataset[0]["finding_boxes"] == [BOX]
        dataset, *_ = leave_out_missing(dataset)
    (study,) = rows_of(dataset)
    assert len(study["images"]) == 1
    assert study["finding_boxes"] == [BOX | {"image": 0}]


def test_boxes_of_a_csv_table_are_json(tmp_path: Path) -> None:
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, ("study_id", "images", "findings", "finding_boxes"))
        rows.writeheader()
        rows.writerow({"study_id": "1", "images": "a.png;b.png", "findings": "x", "finding_boxes": json.dumps([BOX])})
        rows.writerow({"study_id": "2", "images": "c.png", "findings": "x", "finding_boxes": ""})
    first, second = read_corpus(tmp_path / "manifest.csv", require_images=None)
    assert (first["finding_boxes"], second["finding_boxes"]) == ([BOX], [])


def test_boxes_of_findings_outside_the_schema_are_left_out(tmp_path: Path) -> None:
    dataset = read_corpus(write_manifest(tmp_path, finding_boxes=[BOX | {"finding": "Knee"}]), require_images=None)
    assert dataset[0]["finding_boxes"] == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"finding_boxes": [BOX | {"right": 0.1}]}, "a box in 'finding_boxes' needs finding, left, top"),
        ({"finding_boxes": [BOX | {"image": 2}]}, "a box in 'finding_boxes' needs"),
        ({"finding_boxes": [[1, 2, 3]]}, "a box in 'finding_boxes' needs"),
        ({"finding_boxes": 5}, "'finding_boxes' is not a list of boxes"),
        ({"stored_px": "large"}, "'stored_px' must be a number of pixels"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(write_manifest(tmp_path, **columns), require_images=None)
