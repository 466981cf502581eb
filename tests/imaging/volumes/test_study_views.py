"""The slices of a study that a model gets, as images with a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from report_gen.errors import StudyError
from report_gen.imaging import load_many, load_pixels, load_values, read_study
from report_gen.imaging.volumes import (
    CT_WINDOWS,
    DEFAULT_CT_WINDOW,
    choose_views,
    find_stacks,
    has_slices,
    open_volume,
    stack_views,
)
from report_gen.imaging.volumes.study_views import share_views
from report_gen.records import Vector, Window
from tests.builders import noise_image, write_png
from tests.slice_files import AXIAL, SAGITTAL, slices_at, study_of, write_slices

UNKNOWN_KIND = (
    "the file states no modality and no body part; state it with Study.with_attributes (for example modality=CT, "
    "body_part=chest)"
)


@pytest.mark.parametrize(
    ("attributes", "window", "notice"),
    [
        ({}, "percentiles", UNKNOWN_KIND),
        (
            {"body_part": "chest"},
            "percentiles",
            "states no modality; state it with Study.with_attributes (for",
        ),
        ({"modality": "CT", "body_part": "chest"}, "lung", ""),
        ({"modality": "CT", "body_part": ""}, DEFAULT_CT_WINDOW.name, "names no body part"),
        ({"modality": "MR", "body_part": "head"}, "percentiles", ""),
    ],
)
def test_the_window_of_a_nifti_follows_what_the_user_states(
    tmp_path: Path, attributes: dict[str, str], window: str, notice: str
) -> None:
    """The values are -800 to 0 HU: no air, so that they do not look like Hounsfield units by themselves."""
    values = np.random.default_rng(0).uniform(-800, 0, (12, 10, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0])), tmp_path / "volume.nii.gz")
    chosen = choose_views(read_study(tmp_path / "volume.nii.gz").with_attributes(attributes), 4)
    assert {image.window.name for image in chosen.study.images if image.window} == {window}
    described, *notices = chosen.notices
    assert described.startswith("all 4 axial slices were given to the model, window: ")
    assert [notice in one for one in notices] == [True] * bool(notice)


def test_what_the_user_states_precedes_the_header_of_slices_and_of_no_other_image(tmp_path: Path) -> None:
    write_slices(tmp_path / "ct", [(0, 0, 2 * number) for number in range(4)], BodyPartExamined="CHEST")
    study = read_study(tmp_path / "ct").with_attributes({"body_part": "head"})
    assert {image.window for image in choose_views(study, 2).study.images} == {CT_WINDOWS["brain"]}
    picture = read_study(write_png(tmp_path / "a.png", noise_image()))
    assert picture.with_attributes({"modality": "CT", "body_part": "head"}) == picture


def test_slices_are_shown_in_the_first_window_of_their_body_part(tmp_path: Path) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(20)], spacing=(0.8, 0.8), BodyPartExamined="CHEST")
    study = read_study(tmp_path)
    assert has_slices(study)
    chosen = choose_views(study, 5, sampling="even")
    (stack,) = find_stacks(study).stacks
    views = stack_views(open_volume(stack), 5, sampling="even")
    assert [image.key for image in chosen.study.images] == [stack.images[index].key for index in views.indices]
    assert {image.window for image in chosen.study.images} == {CT_WINDOWS["lung"]}
    for image, expected in zip(chosen.study.images, views.intensities[:, 0], strict=True):
        np.testing.assert_array_equal(load_pixels(image), expected)
    assert chosen.notices == (
        "5 of 20 axial slices were given to the model (numbers 1, 5, 10, 15, 20), window: lung, C -600 W 1500 HU",
    )


@pytest.mark.parametrize(
    ("attributes", "window", "notice"),
    [
        ({"BodyPartExamined": "HEAD", "WindowCenter": 400, "WindowWidth": 2000}, CT_WINDOWS["brain"], ""),
        ({"StudyDescription": "CT Schädel nativ"}, CT_WINDOWS["brain"], ""),
        ({"SeriesDescription": "abdomen portal venous"}, CT_WINDOWS["abdomen"], ""),
        ({"ProtocolName": "Thorax"}, CT_WINDOWS["lung"], ""),
        (
            {"WindowCenter": (35, 400), "WindowWidth": (80, 2000)},
            Window("header", 35, 80),
            "no body part, so the CT",
        ),
        (
            {"BodyPartExamined": "CHESTABDPELVIS", "WindowCenter": 50, "WindowWidth": 350},
            Window("header", 50, 350),
            "the header names body parts of several regions, so the CT window of the header is used",
        ),
        ({"BodyPartExamined": "HEADNECK"}, DEFAULT_CT_WINDOW, "names body parts of several regions"),
        ({}, DEFAULT_CT_WINDOW, "the header names no body part, so the CT window is that of soft tissue"),
        ({"WindowCenter": 0, "WindowWidth": 65535}, DEFAULT_CT_WINDOW, "the CT window is that of soft tissue"),
        ({"WindowCenter": 40, "WindowWidth": 0}, DEFAULT_CT_WINDOW, "the CT window is that of soft tissue"),
    ],
)
def test_the_window_of_a_ct_follows_what_the_header_states(
    tmp_path: Path, attributes: dict[str, Any], window: Window, notice: str
) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(4)], **attributes)
    chosen = choose_views(read_study(tmp_path), 2)
    assert {image.window for image in chosen.study.images} == {window}
    assert f"window: {window.name}, C {window.center:g} W {window.width:g} HU" in chosen.notices[0]
    assert [notice in one for one in chosen.notices[1:]] == ([True] if notice else [])


@pytest.mark.parametrize(
    ("directions", "corner", "shape"),
    [
        (AXIAL, np.s_[:3, :3], (12, 15)),
        (((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), np.s_[:3, -3:], (12, 15)),
        (((1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), np.s_[-3:, :3], (12, 15)),
        (((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)), np.s_[:3, :3], (15, 12)),
    ],
)
def test_a_slice_is_turned_and_its_pixels_are_square(
    tmp_path: Path, directions: tuple[Vector, Vector], corner: tuple[slice, slice], shape: tuple[int, int]
) -> None:
    """The corner at the right front of the patient is at the upper left. Columns are 1.5 times as far apart as rows."""
    stored = np.full((12, 10), -1000, dtype=np.int16)
    stored[corner] = 1000
    positions = [(0, 0, 2 * number) for number in range(3)]
    attributes = {"spacing": (1.0, 1.5), "pixels": lambda _: stored, "BodyPartExamined": "HEAD"}
    write_slices(tmp_path, positions, directions, **attributes)
    (image,) = choose_views(read_study(tmp_path), 1).study.images
    pixels = load_pixels(image)
    assert pixels.shape == (image.rows, image.columns) == shape
    assert pixels[:2, :2].min() == 1
    assert pixels[-2:, -2:].max() == 0


def test_slices_of_a_sagittal_stack_keep_the_order_of_the_stack(tmp_path: Path) -> None:
    write_slices(tmp_path, [(5 - number, 0, 0) for number in range(6)], SAGITTAL, modality="MR")
    study = read_study(tmp_path)
    chosen = choose_views(study, 3, sampling="even").study.images
    positions = [image.plane.position[0] for image in chosen if image.plane]
    assert positions == sorted(positions)
    assert positions != [image.plane.position[0] for image in study.images if image.plane][:3]


def test_values_are_not_windowed(tmp_path: Path) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(3)], BodyPartExamined="HEAD")
    study = read_study(tmp_path)
    for image, values in zip(choose_views(study, 3).study.images, load_many(study.images), strict=True):
        assert image.window == CT_WINDOWS["brain"]
        np.testing.assert_array_equal(load_values(image), values)


@pytest.mark.parametrize(
    ("slices", "views", "expected"),
    [
        ([20], 8, (8,)),
        ([3], 8, (3,)),
        ([20, 20], 8, (4, 4)),
        ([2, 30, 30], 9, (2, 4, 3)),
        ([1, 1, 1], 8, (1, 1, 1)),
        ([5, 40, 30], 2, (0, 1, 1)),
    ],
)
def test_views_are_shared_out_equally(slices: list[int], views: int, expected: tuple[int, ...]) -> None:
    assert share_views(slices, views) == expected


def test_notices_name_what_the_model_was_not_given(tmp_path: Path) -> None:
    write_slices(tmp_path / "a", [(0, 0, 2 * number) for number in range(6)], modality="MR", SeriesDescription="T1")
    study = read_study(tmp_path)
    localizers = study_of(slices_at(range(3), image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")), modality="MR")
    (series,) = localizers.series
    mixed = study_of(modality="MR")
    mixed = mixed.__class__(name="mixed", series=(*study.series, series))
    chosen = choose_views(mixed, 4, sampling="even")
    assert len(chosen.study.images) == 4
    assert chosen.notices[0] == "set aside: 3 images: localizer"
    assert "4 of 6 axial slices were given to the model" in chosen.notices[1]


def test_a_study_of_localizers_alone_is_refused() -> None:
    study = study_of(slices_at(range(3), image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")))
    with pytest.raises(StudyError, match="has no series of slices; set aside: 3 images: localizer; give a series"):
        choose_views(study, 4)
