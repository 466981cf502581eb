"""Which images documents show, in which windows, and how they are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from report_gen import read_study
from report_gen.imaging.volumes import CT_WINDOWS, DEFAULT_CT_WINDOW, choose_views
from report_gen.outputs import DraftDocument
from report_gen.outputs import key_image as module
from report_gen.outputs.key_image import key_image
from report_gen.outputs.shown_images import common_window, count_note, image_names, shown_images, spread_indices
from report_gen.records import Attribute, Report, Window
from tests.slice_files import write_slices


def draft_of(folder: Path, report: Report, *attributes: Attribute, views: int = 3, **header: object) -> DraftDocument:
    """Return the draft of a series of 20 slices, of which the model was given some."""
    write_slices(folder, [(0, 0, 2 * number) for number in range(20)], **header)
    study = read_study(folder)
    given = choose_views(study, views, sampling="even").study.images
    return DraftDocument(report=replace(report, attributes=attributes), study=study, given=given)


def body_part(value: str, probability: float, *, overridden: bool = False) -> Attribute:
    return Attribute(name="body_part", value=value, probability=probability, overridden=overridden)


@pytest.mark.parametrize(
    ("attribute", "header", "window"),
    [
        (body_part("head", 0.95), {}, CT_WINDOWS["brain"]),
        (body_part("head", 0.8), {}, DEFAULT_CT_WINDOW),
        (body_part("head", 0.1, overridden=True), {}, CT_WINDOWS["brain"]),
        (body_part("musculoskeletal", 0.99), {}, DEFAULT_CT_WINDOW),
        (body_part("head", 0.99), {"BodyPartExamined": "CHEST"}, CT_WINDOWS["lung"]),
        (body_part("head", 0.99), {"WindowCenter": 35, "WindowWidth": 90}, Window("header", 35, 90)),
    ],
)
def test_a_certain_body_part_sets_the_window_where_the_header_states_none(
    tmp_path: Path, report: Report, attribute: Attribute, header: dict[str, object], window: Window
) -> None:
    draft = draft_of(tmp_path, report, attribute, **header)
    images = shown_images(draft)
    assert {image.window for image in images} == {window}
    is_by_draft = "by the body part of the draft" in image_names(draft, images, with_windows=True)[0]
    assert ("by the body part of the draft" in common_window(draft, images)) == is_by_draft
    assert is_by_draft == (window == CT_WINDOWS["brain"])


def test_captions_name_the_slice_and_the_window(tmp_path: Path, report: Report) -> None:
    draft = draft_of(tmp_path / "ct", report, BodyPartExamined="HEAD")
    shown = shown_images(draft)
    assert image_names(draft, shown, with_windows=True)[1] == "Slice 10 of 20; window: brain, C 40 W 80 HU"
    assert image_names(draft, shown, with_windows=False) == ["Slice 1 of 20", "Slice 10 of 20", "Slice 20 of 20"]
    assert common_window(draft, shown) == "brain, C 40 W 80 HU"
    values = np.repeat(np.arange(120, dtype=np.int16)[:, None], 1, axis=1).reshape(12, 10)
    draft = draft_of(tmp_path / "mr", report, modality="MR", pixels=lambda _: values)
    low, high = np.percentile(np.tile(np.arange(120), 20), (0.5, 99.5))
    name = image_names(draft, shown_images(draft), with_windows=True)[0]
    assert name.endswith(f"window: percentiles 0.5 to 99.5, C {(low + high) / 2:.4g} W {high - low:.4g}")


def test_slices_of_two_series_are_numbered_in_their_stacks(tmp_path: Path, report: Report) -> None:
    """Captions have the windows then, because those of the stacks differ."""
    for number, part in enumerate(("HEAD", "CHEST"), start=1):
        header: dict[str, object] = {
            "SeriesInstanceUID": f"1.5.{number}",
            "SeriesNumber": number,
            "BodyPartExamined": part,
        }
        header["SOPInstanceUID"] = [f"1.5.{number}.{place}" for place in range(4)]
        write_slices(tmp_path / part, [(0, 0, 2 * place) for place in range(4)], **header)
    study = read_study(tmp_path)
    draft = DraftDocument(report=report, study=study, given=choose_views(study, 2, sampling="even").study.images)
    shown = shown_images(draft)
    assert image_names(draft, shown, with_windows=True) == [
        "Stack 1, slice 3 of 4; window: brain, C 40 W 80 HU",
        "Stack 2, slice 3 of 4; window: lung, C -600 W 1500 HU",
    ]
    assert common_window(draft, shown) == ""


def test_the_key_image_names_slice_and_window(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    wrap = module.wrap_text

    def record(text: str, *arguments: object) -> object:
        lines.append(text)
        return wrap(text, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "wrap_text", record)
    key_image(draft_of(tmp_path, report, BodyPartExamined="HEAD"))
    assert "Slice 1 of 20; window: brain, C 40 W 80 HU" in lines


@pytest.mark.parametrize(
    ("views", "note"),
    [
        (1, "The slice that the model was given is shown. The study has 20 images."),
        (8, "All 8 slices that the model was given are shown. The study has 20 images."),
        (
            20,
            "16 of the 20 slices that the model was given are shown, from all parts of the study: a page shows at most "
            "16.",
        ),
    ],
)
def test_the_number_of_shown_slices_is_stated(tmp_path: Path, report: Report, views: int, note: str) -> None:
    assert count_note(draft_of(tmp_path, report, views=views)) == note


def test_many_images_are_spread_over_the_study() -> None:
    assert list(spread_indices(3)) == [0, 1, 2]
    assert list(spread_indices(32)) == list(range(0, 32, 2))
