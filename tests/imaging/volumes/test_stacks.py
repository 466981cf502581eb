"""Which images of a study form which stacks, and what users are told of the others."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
import pytest
from highdicom.spatial import get_volume_positions
from hypothesis import given
from hypothesis import strategies as st

from report_gen.errors import StudyError
from report_gen.imaging import read_studies, read_study
from report_gen.imaging.volumes import SliceStack, StackCollection, find_stacks
from report_gen.records import Image, SlicePlane, Study, Vector
from tests.slice_files import AXIAL, CORONAL, SAGITTAL, slice_image, slices_at, study_of, write_slices


def _stacks(*groups: Sequence[Image], **changes: Any) -> tuple[SliceStack, ...]:
    return find_stacks(study_of(*groups, **changes)).stacks


def _numbers(stack: SliceStack) -> list[int | None]:
    return [image.instance_number for image in stack.images]


def _aside(found: StackCollection) -> list[str]:
    return list(map(str, found.set_aside))


def _repeated(attribute: str, values: Sequence[Any], places: int = 6) -> list[Image]:
    """Return axial slices that show each place once for each value of an attribute, value after value."""
    pairs = itertools.product(values, range(places))
    return [
        slice_image(number, (0, 0, 2.5 * place), acquisition={attribute: value})
        for number, (value, place) in enumerate(pairs, start=1)
    ]


# --- order and geometry


def test_a_stack_has_the_attributes_of_its_series() -> None:
    (stack,) = _stacks(slices_at(range(0, 12, 3)), descriptions=("Lung 3.0", "Thorax"), body_part="CHEST")
    assert (stack.modality, stack.description, stack.series_number) == ("CT", "Lung 3.0", 1)
    assert (stack.body_parts, stack.plane, stack.spacing, stack.tilt) == ({"chest"}, "axial", 3, 0)
    np.testing.assert_array_equal(stack.positions, [0, 3, 6, 9])
    np.testing.assert_array_equal(stack.affine, [[0.8, 0, 0, 0], [0, 0.7, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    assert find_stacks(study_of(slices_at(range(4)))).set_aside == ()


def test_times_are_those_of_the_acquisition_or_of_the_trigger() -> None:
    seconds = [slice_image(n, (0, 0, n), acquisition={"seconds": 3600.0 + n, "trigger_time": 9}) for n in (2, 1)]
    np.testing.assert_array_equal(_stacks(seconds)[0].times, [3601, 3602])
    triggered = [slice_image(n, (0, 0, n), acquisition={"trigger_time": 500.0 * n}) for n in (2, 1)]
    np.testing.assert_array_equal(_stacks(triggered)[0].times, [0.5, 1.0])
    assert np.isnan(_stacks(slices_at([1, 2]))[0].times).all()


@pytest.mark.parametrize(
    ("directions", "plane"),
    [
        (AXIAL, "axial"),
        (CORONAL, "coronal"),
        (SAGITTAL, "sagittal"),
        (((1.0, 0.0, 0.0), (0.0, math.cos(0.6), math.sin(0.6))), "axial"),  # 34 degrees
        (((1.0, 0.0, 0.0), (0.0, math.cos(0.7), math.sin(0.7))), "oblique"),  # 40 degrees
    ],
)
def test_planes_are_named_as_gdcm_names_them(directions: tuple[Vector, Vector], plane: str) -> None:
    (stack,) = _stacks([slice_image(number, (0, number, number), directions) for number in (1, 2, 3)])
    named = gdcm.Orientation.GetLabel(gdcm.Orientation.GetType((*directions[0], *directions[1])))
    assert (stack.plane, plane.upper()) == (plane, named)


def test_an_oblique_stack_between_two_axes_is_ordered_towards_the_head() -> None:
    half = math.sqrt(0.5)
    for normal_sign in (1, -1):
        directions = ((1.0, 0.0, 0.0), (0.0, half * normal_sign, half))
        (stack,) = _stacks([slice_image(number, (0, -number, number), directions) for number in (2, 1, 3)])
        z = [image.plane.position[2] for image in stack.images if image.plane]
        assert z == [1, 2, 3], "the head has precedence over the back"


def test_positions_that_the_header_rounds_are_regular() -> None:
    heights = [round(0.63 * number, 1) for number in range(100)]  # distances of 0.6 and 0.7 mm
    (stack,) = _stacks(slices_at(heights, thickness=0.6))
    assert stack.notices == ()
    assert stack.spacing == pytest.approx(heights[-1] / 99)


@pytest.mark.parametrize(
    ("missing", "notice"),
    [
        ({4}, "1 slice is missing between slices 4 and 5 (at 7.5 and 12.5 mm)"),
        ({3, 4}, "2 slices are missing between slices 3 and 4 (at 5 and 12.5 mm)"),
        (
            {3, 8},
            "2 slices are missing between slices 3 and 4 (at 5 and 10 mm) and slices 7 and 8 (at 17.5 and 22.5 mm)",
        ),
        (
            {3, 8, 13, 18, 23},
            "5 slices are missing between slices 3 and 4 (at 5 and 10 mm), slices 7 and 8 (at 17.5 and 22.5 mm), "
            "slices 11 and 12 (at 30 and 35 mm) and 2 other pairs",
        ),
    ],
)
def test_missing_slices_are_counted_as_highdicom_counts_them(missing: set[int], notice: str) -> None:
    heights = [2.5 * number for number in range(30) if number not in missing]
    (stack,) = _stacks(slices_at(heights))
    positions = [(0, 0, height) for height in heights]
    spacing, places = get_volume_positions(positions, (1, 0, 0, 0, 1, 0), allow_missing_positions=True)
    assert places is not None
    assert stack.spacing == pytest.approx(spacing)
    number = max(places) + 1 - len(places)
    assert number == len(missing)
    assert [found.split(":")[0] for found in stack.notices] == [notice]


@pytest.mark.parametrize(
    ("heights", "notice"),
    [
        ([0, 2, 4, 6, 9, 11, 13.5, 15], "varies from 1.5 to 3 mm, the largest between slices 4 and 5 (at 6 and 9 mm)"),
        (
            [0, 5, 10, 15, 20, 30, 40, 50, 60],
            "varies from 5 to 10 mm, the largest between slices 5 and 6 (at 20 and 30 mm)",
        ),
    ],
)
def test_irregular_distances_have_a_notice(heights: list[float], notice: str) -> None:
    (stack,) = _stacks(slices_at(heights, thickness=5.0))
    assert f"the distance of neighboring slices {notice}" in stack.notices
    assert stack.spacing == pytest.approx(heights[-1] / (len(heights) - 1))


@pytest.mark.parametrize(
    ("thickness", "notices"),
    [
        (2.0, ("the slices are 2 mm thick and 10 mm apart: what lies between them cannot be seen",)),
        (7.0, ()),  # a usual gap of MR
    ],
)
def test_slices_that_lie_far_apart_have_a_notice(thickness: float, notices: tuple[str, ...]) -> None:
    (stack,) = _stacks(slices_at([0, 10, 20, 30], thickness=thickness))
    assert stack.notices == notices


def test_slices_that_overlap_have_a_notice() -> None:
    (stack,) = _stacks(slices_at([0, 1.25, 2.5], thickness=2.5))
    assert stack.notices == ("the slices overlap: they are 2.5 mm thick and 1.25 mm apart",)


def test_slices_that_are_displaced_irregularly_have_a_notice() -> None:
    images = [slice_image(n, (5 * (n == 3), 0, 2 * n)) for n in range(1, 7)]
    assert _stacks(images)[0].notices == ("the slices are displaced irregularly within their planes, by up to 5 mm",)


# --- splitting


def test_slices_within_one_degree_are_one_stack_and_others_are_not() -> None:
    def turned(degrees: float) -> tuple[Vector, Vector]:
        angle = math.radians(degrees)
        return (1.0, 0.0, 0.0), (0.0, math.cos(angle), math.sin(angle))

    images = [slice_image(n, (0, 0, n), turned(degrees)) for n, degrees in enumerate([0, 0.9, 0.9, 1.1, 1.1])]
    assert [_numbers(stack) for stack in _stacks(images)] == [[0, 1, 2], [3, 4]]


def _in_frame(images: Sequence[Image], uid: str) -> list[Image]:
    return [
        dataclasses.replace(image, plane=dataclasses.replace(image.plane, frame_of_reference=uid))
        for image in images
        if image.plane is not None
    ]


def test_frames_of_reference_are_stacks_of_their_own() -> None:
    """The positions of the two scans interleave, but cannot be compared."""
    both = [*_in_frame(slices_at(range(0, 12, 3)), "1.2"), *_in_frame(slices_at(range(1, 12, 3)), "1.3")]
    found = find_stacks(study_of(both))
    assert [[float(one) for one in stack.positions] for stack in found.stacks] == [[0, 3, 6, 9], [1, 4, 7, 10]]
    (notice,) = found.notices
    assert notice == (
        "series 1: the slices have 2 frames of reference, between which positions cannot be compared; each of them is "
        "a separate stack"
    )


def test_frames_of_single_slices_are_those_of_an_anonymizer() -> None:
    images = [one for number, image in enumerate(slices_at(range(4))) for one in _in_frame([image], f"1.{number}")]
    (stack,) = _stacks(images)
    np.testing.assert_array_equal(stack.positions, [0, 1, 2, 3])


def test_the_frame_of_reference_is_that_of_the_header(tmp_path: Path) -> None:
    positions = [(0, 0, float(place)) for place in (0, 1, 2, 0, 1, 2)]
    write_slices(tmp_path, positions, FrameOfReferenceUID=["1.2"] * 3 + ["1.3"] * 3)
    assert [len(stack.images) for stack in find_stacks(read_study(tmp_path)).stacks] == [3, 3]


def test_two_orientations_are_two_stacks_with_one_sentence() -> None:
    axial = slices_at(range(5))
    sagittal = [slice_image(10 + n, (n, 0, 0), SAGITTAL) for n in range(4)]
    found = find_stacks(study_of([*axial, *sagittal]))
    assert [(stack.plane, len(stack.images)) for stack in found.stacks] == [("axial", 5), ("sagittal", 4)]
    assert found.notices == (
        "series 1: the slices have 2 different orientations, sizes or pixel spacings (axial, sagittal); each of them "
        "is a separate stack",
    )


@pytest.mark.parametrize("change", [{"columns": 11}, {"spacing": (0.7, 0.81)}])
def test_sizes_and_pixel_spacings_are_stacks_of_their_own(change: dict[str, Any]) -> None:
    images = [*slices_at(range(3)), *slices_at(range(10, 14), **change)]
    assert [len(stack.images) for stack in _stacks(images)] == [3, 4]


@pytest.mark.parametrize(
    ("attribute", "values", "parts"),
    [
        ("echo_time", (4.6, 9.2), ["echo time 4.6 ms", "echo time 9.2 ms"]),
        ("b_value", (0.0, 50.0, 1000.0), ["b-value 0 s/mm2", "b-value 50 s/mm2", "b-value 1000 s/mm2"]),
        ("temporal_position", (1, 2, 3, 4), [f"temporal position {n}" for n in (1, 2, 3, 4)]),
        ("contrast_agent", (False, True), ["without contrast agent", "with contrast agent"]),
        ("trigger_time", (0.0, 40.0), ["trigger time 0 ms", "trigger time 40 ms"]),
        ("number", (1, 2), ["acquisition 1", "acquisition 2"]),
        ("kind", ("M\\FFE", "M\\FFE\\FAT", "PHASE"), ["M FFE", "M FFE FAT", "PHASE"]),
        ("echo_time", (None, 9.2), ["echo time unknown", "echo time 9.2 ms"]),
    ],
)
def test_an_attribute_that_explains_repeated_places_splits(
    attribute: str, values: Sequence[Any], parts: list[str]
) -> None:
    found = find_stacks(study_of(_repeated(attribute, values), modality="MR"))
    assert [stack.part for stack in found.stacks] == parts
    assert [len(stack.images) for stack in found.stacks] == [6] * len(parts)
    assert {getattr(image.acquisition, attribute) for image in found.stacks[1].images} == {values[1]}
    assert (found.set_aside, found.notices) == ((), ())


def test_two_attributes_split_one_after_the_other() -> None:
    images = [
        slice_image(number, (0, 0, place), acquisition={"echo_time": echo, "temporal_position": time})
        for number, (time, place, echo) in enumerate(itertools.product((1, 2), range(5), (5.0, 9.0)))
    ]
    assert [stack.part for stack in _stacks(images)] == [
        f"echo time {echo} ms, temporal position {time}" for echo in (5, 9) for time in (1, 2)
    ]


def test_an_acquisition_number_for_each_station_splits_nothing() -> None:
    def image(number: int) -> Image:
        return slice_image(number, (0, 0, number), acquisition={"number": 1 + number // 10})

    assert [len(stack.images) for stack in _stacks([image(number) for number in range(30)])] == [30]


def test_stations_that_overlap_by_one_slice_are_one_stack_without_the_duplicate() -> None:
    heights = [*range(10), *range(9, 20)]
    images = [
        slice_image(number, (0, 0, height), acquisition={"number": 1 if number <= 10 else 2, "seconds": float(number)})
        for number, height in enumerate(heights, start=1)
    ]
    found = find_stacks(study_of(images))
    assert [_numbers(stack) for stack in found.stacks] == [[*range(1, 11), *range(12, 22)]]
    assert _aside(found) == ["1 image: duplicate of a slice of the same place and acquisition"]


def test_a_trigger_time_for_each_slice_splits_nothing() -> None:
    images = [slice_image(n, (0, 0, n), acquisition={"trigger_time": 3.7 * n}) for n in range(20)]
    again = slice_image(20, (0, 0, 7), acquisition={"trigger_time": 80.0})
    assert len(_stacks(images)) == 1
    assert [len(stack.images) for stack in _stacks([*images, again])] == [20]


def test_phases_of_a_heart_whose_trigger_times_differ_between_slices_are_told_apart_by_rank() -> None:
    random = np.random.default_rng(0)
    images = [
        slice_image(number, (0, 0, 8 * place), acquisition={"trigger_time": 40 * phase + float(random.uniform(0, 5))})
        for number, (place, phase) in enumerate(itertools.product(range(10), range(25)))
    ]
    stacks = _stacks(images, modality="MR")
    assert [stack.part for stack in stacks] == [f"phase {phase} of 25" for phase in range(1, 26)]
    for phase, stack in enumerate(stacks):
        assert _numbers(stack) == [25 * place + phase for place in range(10)]


def test_an_aborted_second_phase_is_a_stack_of_its_own() -> None:
    phases = [*_repeated("temporal_position", (1,), places=20), *_repeated("temporal_position", (2,), places=3)]
    images = [dataclasses.replace(image, path=Path(f"{n}.dcm")) for n, image in enumerate(phases)]
    assert [len(stack.images) for stack in _stacks(images)] == [20, 3]


def test_a_missing_slice_of_one_echo_is_missing_in_that_stack() -> None:
    images = _repeated("echo_time", (4.6, 9.2))
    del images[2]
    first, second = _stacks(images)
    assert (len(first.images), len(second.images)) == (5, 6)
    assert first.notices == (
        "1 slice is missing between slices 2 and 3 (at 2.5 and 7.5 mm): neighbors are up to 5 mm apart, "
        "and 2.5 mm elsewhere",
    )
    assert second.notices == ()


def test_images_of_both_hands_are_told_apart_by_their_place_within_the_plane() -> None:
    images = [slice_image(10 * side + z, (200 * side, 0, 3 * z)) for side, z in itertools.product((0, 1), range(5))]
    assert [stack.part for stack in _stacks(images)] == ["field of view 1", "field of view 2"]


def test_repetitions_without_any_attribute_are_split_by_instance_number_with_a_notice() -> None:
    pairs = list(itertools.product(range(3), range(4)))
    images = [slice_image(number, (0, 0, place)) for number, (_, place) in enumerate(pairs)]
    found = find_stacks(study_of(images))
    assert [_numbers(stack) for stack in found.stacks] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert found.stacks[0].part == "repetition 1 of 3"
    assert found.notices == (
        "series 1: each place has 3 images that no attribute of the header distinguishes; they were separated by "
        "instance number",
    )


def test_of_duplicates_the_first_by_instance_number_is_kept() -> None:
    images = [*slices_at(range(5)), slice_image(9, (0, 0, 2)), slice_image(8, (0, 0, 2.005))]
    found = find_stacks(study_of(images[::-1]))
    assert [_numbers(stack) for stack in found.stacks] == [[1, 2, 3, 4, 5]]
    assert [image.instance_number for aside in found.set_aside for image in aside.images] == [8, 9]
    assert found.notices == ("series 1: 2 images that repeat the place and acquisition of others left out",)


# --- images that are no slices


@pytest.mark.parametrize(
    ("image_type", "reason"),
    [
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "localizer"),
        (("ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"), "localizer"),
        (("DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"), "dose report"),
        (("DERIVED", "SECONDARY", "SCREEN SAVE"), "secondary capture"),
        (("DERIVED", "PRIMARY", "PROJECTION IMAGE", "VRT"), "derived: rendering"),
        (("DERIVED", "PRIMARY", "AXIAL", "MIP"), "derived: MIP"),
        (("DERIVED", "SECONDARY", "PROJECTION IMAGE"), "derived: projection"),
        (("DERIVED", "PRIMARY", "VOLUME", "MINIMUM"), "derived: MinIP"),
        (("DERIVED", "SECONDARY", "MPR"), "derived: reformatted slices"),
        (("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"), "derived: reformatted slices"),
        (("DERIVED", "SECONDARY", "AXIAL", "CT_SOM7 MPR"), "derived: reformatted slices"),
    ],
)
def test_derived_images_are_set_aside_by_image_type(image_type: tuple[str, ...], reason: str) -> None:
    derived = [slice_image(90, (0, 0, 1.5), image_type=image_type)]
    found = find_stacks(study_of(slices_at(range(4)), derived))
    assert [stack.series_number for stack in found.stacks] == [1]
    assert [(aside.reason, aside.series_number) for aside in found.set_aside] == [(reason, 2)]


@pytest.mark.parametrize(
    "image_type",
    [
        ("DERIVED", "PRIMARY", "AXIAL"),  # denoised or iterative reconstruction
        ("DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 SPI"),
        ("DERIVED", "PRIMARY", "DIFFUSION", "ADC"),
        ("DERIVED", "PRIMARY", "M", "DIS3D", "FM"),
        ("ORIGINAL", "PRIMARY", "M", "MIP"),  # not derived, so not a projection
        (),
    ],
)
def test_other_images_stay(image_type: tuple[str, ...]) -> None:
    assert [len(stack.images) for stack in _stacks(slices_at(range(4), image_type=image_type))] == [4]


@pytest.mark.parametrize(
    ("description", "modality", "reason"),
    [
        ("Dose Report", "CT", "dose report"),
        ("Patient Protocol", "CT", "dose report"),
        ("Localizer", "MR", "localizer"),
        ("3-plane scout", "MR", "localizer"),
        ("AAHead_Scout_MPR", "MR", "localizer"),
        ("Low dose chest", "CT", None),
        ("Skeletal survey", "CT", None),
        ("t1_mprage_sag", "MR", None),
    ],
)
def test_series_are_set_aside_by_their_description(description: str, modality: str, reason: str | None) -> None:
    found = find_stacks(study_of(slices_at(range(3)), modality=modality, descriptions=(description,)))
    assert [aside.reason for aside in found.set_aside] == ([reason] if reason else [])


def test_reformatted_slices_are_used_if_the_study_has_no_others() -> None:
    reformats = slices_at(range(4), image_type=("DERIVED", "SECONDARY", "MPR"))
    projections = slices_at(range(9, 12), image_type=("DERIVED", "PRIMARY", "AXIAL", "MIP"))
    found = find_stacks(study_of(reformats, projections))
    assert [len(stack.images) for stack in found.stacks] == [4]
    assert _aside(found) == ["3 images: derived: MIP"]
    assert found.notices == ("the study has no original slices, only reformatted ones",)


def test_phantoms_captures_and_images_without_position_are_set_aside() -> None:
    images = [
        *slices_at(range(4)),
        slice_image(11, (0, 0, 11), quality_control=True),
        slice_image(12, None, image_type=("DERIVED", "SECONDARY")),
        slice_image(13, None),
    ]
    found = find_stacks(study_of(images))
    assert [len(stack.images) for stack in found.stacks] == [4]
    assert _aside(found) == [
        "1 image: quality control phantom",
        "1 image: secondary capture",
        "1 image: no position in the patient, which other images of the series have",
    ]
    assert found.notices == (
        "series 1: 1 image left out: no position in the patient, which other images of the series have",
    )


def test_radiographs_are_no_stack() -> None:
    found = find_stacks(study_of([slice_image(1, None), slice_image(2, None)], modality="DX"))
    assert (found.stacks, _aside(found)) == ((), ["2 images: single image without position in the patient"])


def test_cines_are_stacks_in_the_order_of_their_frames() -> None:
    def frames(name: str) -> list[Image]:
        return [
            slice_image(1, None, path=Path(name), frame=frame, acquisition={"seconds": 0.04 * frame})
            for frame in (2, 0, 1, 3)
        ]

    found = find_stacks(study_of([*frames("a.dcm"), *frames("b.dcm")], modality="US"))
    for stack, part in zip(found.stacks, ("cine 1 of 2", "cine 2 of 2"), strict=True):
        assert [image.frame for image in stack.images] == [0, 1, 2, 3]
        np.testing.assert_allclose(stack.times, [0, 0.04, 0.08, 0.12])
        assert (stack.part, stack.plane, stack.affine, stack.spacing, stack.notices) == (part, None, None, None, ())
        assert np.isnan(stack.positions).all()


# --- series that are wrong


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"PixelSpacing": (0.0, 0.8)}, "Pixel Spacing is not two positive distances"),
        ({"PixelSpacing": None}, "Pixel Spacing is missing"),
        ({"ImagePositionPatient": None}, "Image Position (Patient) is missing"),
        (
            {"ImageOrientationPatient": (1.0, 0.0, 0.0, 0.1, 0.995, 0.0)},
            "Image Orientation (Patient) is not two perpendicular unit vectors",
        ),
    ],
)
def test_a_slice_without_a_usable_plane_is_left_out_with_one_sentence(
    tmp_path: Path, attributes: dict[str, Any], problem: str
) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(6)])
    dataset = pydicom.dcmread(tmp_path / "0003.dcm")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, list(value) if value else value)
    dataset.save_as(tmp_path / "0003.dcm")
    found = find_stacks(read_study(tmp_path))
    assert [len(stack.images) for stack in found.stacks] == [5]
    assert found.notices == (f"series 7: 1 image left out: {problem}",)
    assert _aside(found) == [f"1 image: {problem}"]


def test_a_spacing_that_is_no_number_leaves_the_order_of_instance_numbers(tmp_path: Path) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(4)])
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"0.7\\0.8 ", b"nan\\nan "))
    (stack,) = find_stacks(read_study(tmp_path)).stacks
    assert _numbers(stack) == [1, 2, 3, 4]
    assert stack.notices == (
        "no image has a usable position in the patient (Pixel Spacing is not two positive distances): the slices are "
        "in the order of their instance numbers, and their distances, the direction of the order and the sides of the "
        "patient are not known",
    )


def test_a_file_that_cannot_be_read_is_one_sentence_and_a_missing_slice(tmp_path: Path) -> None:
    written = write_slices(tmp_path, [(0, 0, 2 * number) for number in range(6)])
    broken = list(written.values)[3]
    broken.write_bytes(broken.read_bytes()[:900])
    found = read_studies(tmp_path)
    (study,), (error,) = found.studies, found.refused
    assert error.path == broken
    assert study.unreadable_images == 1
    (stack,) = find_stacks(study).stacks
    assert stack.notices == (
        "1 slice is missing between slices 3 and 4 (at 4 and 8 mm): neighbors are up to 4 mm apart, and 2 mm elsewhere",
    )


def test_two_patients_in_one_series_are_refused(tmp_path: Path) -> None:
    ids = ["A", "A", "A", "B", "A", "B"]
    files = write_slices(tmp_path, [(0, 0, 2 * number) for number in range(6)], PatientID=ids)
    with pytest.raises(StudyError, match="two patients share one Study Instance UID") as refusal:
        read_study(tmp_path)
    named = {number for number, path in enumerate(files.values) if str(path) in str(refusal.value)}
    assert sorted(ids[number] for number in named) == ["A", "B"]


def test_slices_without_any_position_are_in_the_order_of_instance_numbers() -> None:
    found = find_stacks(study_of([slice_image(number, None) for number in (3, 1, 2)]))
    (stack,) = found.stacks
    assert _numbers(stack) == [1, 2, 3]
    assert stack.notices == (
        "no image has a usable position in the patient: the slices are in the order of their instance numbers, and "
        "their distances, the direction of the order and the sides of the patient are not known",
    )


def test_slices_of_one_place_are_no_volume() -> None:
    (stack,) = _stacks([slice_image(number, (0, 0, 5)) for number in (3, 1, 2)])
    assert _numbers(stack) == [1, 2, 3]
    assert stack.spacing is None
    assert stack.notices == (
        "all 3 images show one place, so findings elsewhere cannot be seen; they are ordered by instance number, "
        "because no time distinguishes them",
    )


def test_frames_of_one_place_are_ordered_in_time_and_split_by_kind() -> None:
    def image(number: int, kind: str, time: float) -> Image:
        return slice_image(number, (0, 0, 5), acquisition={"kind": kind, "trigger_time": time})

    images = [image(1, "M", 40), image(2, "P", 40), image(3, "M", 0), image(4, "P", 0)]
    stacks = _stacks(images, modality="MR")
    assert [(stack.part, _numbers(stack)) for stack in stacks] == [("M", [3, 1]), ("P", [4, 2])]
    assert stacks[0].notices == (
        "all 2 images show one place, so findings elsewhere cannot be seen; they are ordered in time",
    )


def test_one_slice_is_no_volume() -> None:
    (stack,) = _stacks(slices_at([7], thickness=5.0))
    assert stack.notices == ("one slice was given; findings elsewhere in the series cannot be seen",)
    assert (stack.spacing, stack.plane) == (None, "axial")
    assert stack.affine is not None
    np.testing.assert_array_equal(stack.affine[:3, 2], [0, 0, 5])


def test_five_thousand_slices_have_a_notice() -> None:
    (stack,) = _stacks(slices_at(np.arange(5000) / 2, thickness=0.5))
    assert stack.notices == ("there are 5000 slices, more than one scan usually has",)
    assert stack.spacing == pytest.approx(0.5)


def test_a_study_without_slices_has_no_stack() -> None:
    assert find_stacks(Study(name="empty", series=())) == StackCollection((), ())


# --- properties

_PLANES = st.one_of(
    st.none(),
    st.builds(
        lambda position, directions, spacing: SlicePlane(
            position=position, row_direction=directions[0], column_direction=directions[1], spacing=spacing
        ),
        st.tuples(*(st.sampled_from([0.0, 1.0, 2.5, -7.0]),) * 3),
        st.sampled_from([AXIAL, CORONAL, SAGITTAL]),
        st.sampled_from([(1.0, 1.0), (2.0, 1.0)]),
    ),
)
_TYPES = st.sampled_from([(), ("ORIGINAL", "PRIMARY", "LOCALIZER"), ("DERIVED", "SECONDARY", "MPR")])
_ACQUISITIONS = st.fixed_dictionaries(
    {}, optional={"echo_time": st.sampled_from([1.0, 2.0]), "number": st.integers(1, 3), "kind": st.just("M")}
)


@given(st.lists(st.tuples(_PLANES, _TYPES, _ACQUISITIONS, st.integers(0, 3)), max_size=12), st.randoms())
def test_each_image_is_in_one_stack_or_set_aside_once(drawn: list[Any], random: Any) -> None:
    images = [
        dataclasses.replace(
            slice_image(instance, None, image_type=image_type, acquisition=acquisition),
            plane=plane,
            path=Path(f"{number}.dcm"),
        )
        for number, (plane, image_type, acquisition, instance) in enumerate(drawn)
    ]
    found = find_stacks(study_of(images))
    placed = [image for stack in found.stacks for image in stack.images]
    aside = [image for one in found.set_aside for image in one.images]
    assert sorted(image.path for image in [*placed, *aside]) == sorted(image.path for image in images)
    for stack in found.stacks:
        assert len(stack.images) == len(stack.positions) == len(stack.times)
        assert (np.diff(stack.positions[np.isfinite(stack.positions)]) >= 0).all()
        assert stack.affine is None or np.linalg.matrix_rank(stack.affine) == 4


@given(st.permutations(range(12)))
def test_the_order_of_the_images_of_a_series_does_not_matter(order: list[int]) -> None:
    images = _repeated("echo_time", (4.6, 9.2))
    stacks = _stacks([images[index] for index in order], modality="MR")
    assert [_numbers(stack) for stack in stacks] == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
