"""A model that was trained on known views drafts the same from a picture, a DICOM file and a row of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.engine.session import train

from report_gen.config import TrainedViews
from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter, DraftRequest
from report_gen.evaluation.rows import study_from_row
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.model import load_checkpoint
from report_gen.records import Report, Study, ViewPosition
from tests.builders import CORNERS, corner_image, tiny_recipe, write_manifest, write_png
from tests.dicom_files import write_dicom

UNLIMITED = {"WindowCenter": "128", "WindowWidth": "256"}
"""A window that shows the stored values 0..255 unchanged (PS3.3 C.11.2.1.2.1)."""


GREEDY = Decoding(max_tokens=60)
"""Sampled candidates depend on the bytes of the file, which differ between PNG and DICOM."""


def write_corpus(data: Path, views: tuple[str, ...]) -> Path:
    """Write corner images in each of the views; the view says nothing about the report."""
    rows = []
    for split in ("train", "val", "test"):
        for place, (findings, impression) in enumerate(CORNERS):
            for view in views:
                name = f"{split}-{place}-{view}"
                write_png(data / "images" / f"{name}.png", corner_image(place))
                report = {"findings": findings, "impression": impression, "split": split}
                rows.append({"study_id": name, "images": [f"{name}.png"], "views": [view], **report})
    write_manifest(data / "images", rows)
    return data


def trained_model(data: Path, views: tuple[str, ...], **stage: Any) -> Path:
    write_corpus(data, views)
    changes: dict[str, Any] = {
        "steps": 240,
        "validate_every": 240,
        "state_dropout": 1.0,
        "finding_weight": 0.0,
        "rates": {"encoder": 1e-3, "projector": 5e-3, "decoder": 5e-3},
    }
    model = tiny_recipe(data).model.model_dump() | {"projector": {"patch_tokens": 4, "hidden": 16, "dropout": 0.0}}
    recipe = tiny_recipe(data, stage=changes | stage, model=model)
    return train(recipe, data / "run", resume=False, on_step=lambda _: None)


def texts(drafter: Drafter, studies: Mapping[str, Study]) -> dict[str, tuple[str, ...]]:
    reports = drafter.draft_all([DraftRequest(study) for study in studies.values()], decoding=GREEDY)
    return {name: sections(report) for name, report in zip(studies, reports, strict=True)}


def sections(report: object) -> tuple[str, ...]:
    assert isinstance(report, Report)
    assert view_notices(report) == []
    return tuple(section.text for section in report.sections)


def view_notices(report: Report) -> list[str]:
    return [notice for notice in report.notices if "view" in notice]


def as_dicom(folder: Path, place: int, view: str) -> Study:
    folder.mkdir(exist_ok=True)
    return read_study(write_dicom(folder / f"{place}.dcm", corner_image(place), ViewPosition=view, **UNLIMITED))


@pytest.mark.parametrize("views", [("PA",), ("PA", "LATERAL")])
def test_a_picture_is_drafted_like_the_same_image_in_a_corpus(tmp_path: Path, views: tuple[str, ...]) -> None:
    folder = trained_model(tmp_path, views)
    drafter = Drafter.load(folder)
    for row in read_corpus(tmp_path / "images").filter(lambda row: row["split"] == "test"):
        picture, (view,) = read_study(row["images"][0]), row["view_positions"]
        place = int(row["study_id"].split("-")[1])
        found = texts(
            drafter,
            {
                "row": study_from_row(row),
                "PNG": picture,
                "PNG with --view": picture.with_view(ViewPosition(view)),
                "DICOM": as_dicom(tmp_path / view, place, view),
                "DICOM without view": as_dicom(tmp_path / f"not {view}", place, ""),
            },
        )
        assert set(found.values()) <= set(CORNERS), found  # no broken text
        same = found if len(views) == 1 else {name: found[name] for name in ("row", "PNG with --view", "DICOM")}
        assert len(set(same.values())) == 1, found
        default = [drafter.draft(one) for one in (study_from_row(row), picture.with_view(ViewPosition(view)))]
        assert default[0].sections == default[1].sections

    recorded = load_checkpoint(folder).model.config.trained_views
    counts = dict.fromkeys(views, 4)
    prompts = {"PA": 4, "lateral": 4} if len(views) > 1 else {"PA": 4}
    expected = {"images": counts, "prompts": {**prompts, "": 4 * len(views)}, "dropout": 0.15}
    assert recorded == TrainedViews.model_validate(expected)


def test_without_view_dropout_a_picture_is_drafted_as_of_the_most_frequent_view(tmp_path: Path) -> None:
    drafter = Drafter.load(trained_model(tmp_path, ("PA", "AP"), view_dropout=0.0))
    for place in range(len(CORNERS)):
        picture = read_study(tmp_path / "images" / f"test-{place}-PA.png")
        report, with_view = drafter.draft(picture), drafter.draft(picture.with_view(ViewPosition.PA))
        assert report.sections == with_view.sections
        assert tuple(section.text for section in report.sections) in CORNERS
        assert view_notices(with_view) == []
        assert view_notices(report) == [
            "the view of an image is unknown; PA is assumed; specify another view with Study.with_view"
        ]
