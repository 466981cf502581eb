"""Position of slices: headers of single slices, values that contradict themselves, and images that are no slices."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from report_gen.imaging import read_study
from report_gen.imaging.acquisition import frame_seconds
from report_gen.imaging.planes import perpendicular_directions
from report_gen.records import Acquisition, Image
from tests.dicom_files import write_dicom
from tests.volume_files import AXIAL, OBLIQUE

PLANE = {"ImagePositionPatient": [-10.5, 20, 3], "ImageOrientationPatient": list(AXIAL), "PixelSpacing": [0.5, 0.75]}


def image(path: Path, **attributes: Any) -> Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of values that are wrong on purpose
        write_dicom(path / "a.dcm", **({"Modality": "CT"} | attributes))
    return read_study(path / "a.dcm").images[0]


def test_the_plane_of_a_slice(tmp_path: Path) -> None:
    plane = image(tmp_path, **PLANE, SliceThickness=1.25).plane
    assert plane is not None
    assert (plane.position, plane.spacing, plane.thickness) == ((-10.5, 20, 3), (0.5, 0.75), 1.25)
    assert (plane.row_direction, plane.column_direction, plane.normal) == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    oblique = image(tmp_path, **PLANE | {"ImageOrientationPatient": list(OBLIQUE)}).plane
    assert oblique is not None
    assert oblique.normal == pytest.approx((-0.48, 0.64, 0.6))
    assert oblique.thickness is None


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ({"ImagePositionPatient": None}, "Image Position (Patient) is missing"),
        ({"ImagePositionPatient": ""}, "Image Position (Patient) is missing"),
        ({"ImagePositionPatient": [1, 2]}, "Image Position (Patient) is not three coordinates"),
        ({"ImagePositionPatient": ["1", "2", "NaN"]}, "Image Position (Patient) is not three coordinates"),
        ({"ImagePositionPatient": ["1", "2", "1e30"]}, "Image Position (Patient) is not three coordinates"),
        ({"ImageOrientationPatient": None}, "Image Orientation (Patient) is missing"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "Image Orientation (Patient) is not six direction cosines"),
        (
            {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
            "Image Orientation (Patient) is not two perpendicular unit vectors",
        ),
        (
            {"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]},
            "Image Orientation (Patient) is not two perpendicular unit vectors",
        ),
        (
            {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
            "Image Orientation (Patient) is not two perpendicular unit vectors",
        ),
        ({"PixelSpacing": None}, "Pixel Spacing is missing"),
        ({"PixelSpacing": [0, 0.5]}, "Pixel Spacing is not two positive distances"),
        ({"PixelSpacing": [-1, 0.5]}, "Pixel Spacing is not two positive distances"),
        ({"PixelSpacing": ["NaN", "0.5"]}, "Pixel Spacing is not two positive distances"),
        ({"PixelSpacing": 0.5}, "Pixel Spacing is not two positive distances"),
    ],
)
def test_a_slice_without_a_plane_says_why(tmp_path: Path, attributes: dict[str, Any], problem: str) -> None:
    found = image(tmp_path, **PLANE | attributes)
    assert (found.plane, found.plane_problem) == (None, problem)


def test_a_value_that_is_no_number_gives_no_plane(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", Modality="MR", **PLANE | {"ImagePositionPatient": [1.25, 2.25, 3.25]})
    content = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(content.replace(b"1.25\\2.25", b"1.25\\2,25"))
    found = read_study(tmp_path / "a.dcm").images[0]
    assert found.plane_problem == "Image Position (Patient) is not three coordinates"


@pytest.mark.parametrize("modality", ["DX", "CR", "MG", "XA"])
def test_a_projection_has_no_plane(tmp_path: Path, modality: str) -> None:
    found = image(tmp_path, Modality=modality, **PLANE)
    assert (found.plane, found.plane_problem) == (None, None)


def test_only_reconstructed_slices_of_nuclear_medicine_have_a_plane(tmp_path: Path) -> None:
    static = image(tmp_path, Modality="NM", ImageType=["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"], **PLANE)
    assert (static.plane, static.plane_problem) == (None, None)
    tomography = image(tmp_path, Modality="NM", ImageType=["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"], **PLANE)
    assert tomography.plane is not None


def test_an_image_of_no_modality_that_states_a_position_is_a_slice(tmp_path: Path) -> None:
    assert image(tmp_path, Modality=None, SOPClassUID="1.2.3", **PLANE).plane is not None
    assert image(tmp_path, Modality="OT").plane_problem is None


@given(angles=st.tuples(*[st.floats(-4, 4)] * 3), decimals=st.integers(3, 9))
def test_rounded_directions_become_exact_ones(angles: tuple[float, float, float], decimals: int) -> None:
    """Rows of a rotation matrix, rounded to decimals, differ from the result by the rounding only."""
    a, b, c = angles
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    turn_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    exact = turn_z @ turn_x @ turn_y
    found = perpendicular_directions(tuple(exact[0].round(decimals)), tuple(exact[1].round(decimals)))
    assert found is not None
    np.testing.assert_allclose(np.array(found) @ np.array(found).T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(found, exact[:2], atol=4 * 10.0**-decimals)


# ---- what distinguishes images of one place ------------------------------------------------------------------------


def test_the_acquisition_of_a_single_frame(tmp_path: Path) -> None:
    found = image(
        tmp_path,
        Modality="MR",
        AcquisitionNumber=3,
        TemporalPositionIdentifier=2,
        EchoTime="4.6",
        DiffusionBValue=800.0,
        ContrastBolusAgent="Gadolinium",
        TriggerTime="120.5",
        ImageType=["DERIVED", "PRIMARY", "water", "M_FFE"],
        AcquisitionTime="101530.25",
    )
    assert found.acquisition == Acquisition(
        number=3,
        temporal_position=2,
        echo_time=4.6,
        b_value=800,
        contrast_agent=True,
        trigger_time=120.5,
        kind="WATER\\M_FFE",
        seconds=36930.25,
    )
    assert found.image_type == ("DERIVED", "PRIMARY", "WATER", "M_FFE")


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [
        ({"AcquisitionDateTime": "20240131101530.5+0100", "AcquisitionTime": "090000"}, 36930.5),
        ({"AcquisitionDateTime": "2024013110"}, 36000),
        ({"AcquisitionTime": "10:15:30"}, 36930),
        ({"AcquisitionTime": "1015"}, 36900),
        ({"AcquisitionTime": "noon"}, None),
        ({"AcquisitionTime": ""}, None),
    ],
)
def test_the_time_of_an_acquisition(tmp_path: Path, attributes: dict[str, Any], seconds: float | None) -> None:
    found = image(tmp_path, AcquisitionNumber=1, **attributes).acquisition
    assert found is not None
    assert found.seconds == seconds


def test_a_contrast_agent_is_named_or_not_or_unknown(tmp_path: Path) -> None:
    named, empty, absent = (
        image(tmp_path, AcquisitionNumber=1, **attributes).acquisition
        for attributes in ({"ContrastBolusAgent": "X"}, {"ContrastBolusAgent": ""}, {})
    )
    assert [one and one.contrast_agent for one in (named, empty, absent)] == [True, False, None]


def test_a_header_without_such_attributes_has_no_acquisition(tmp_path: Path) -> None:
    assert image(tmp_path, Modality="DX").acquisition is None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"FrameTime": "40"}, [0, 0.04, 0.08]),
        ({"FrameTimeVector": ["0", "30", "50"]}, [0, 0.03, 0.08]),
        ({"FrameTimeVector": ["0", "30"], "FrameTime": "10"}, [0, 0.01, 0.02]),
        ({"FrameTime": "0"}, None),
        ({"FrameTime": "-5"}, None),
        ({}, None),
    ],
)
def test_times_of_the_frames_of_a_cine(attributes: dict[str, Any], expected: list[float] | None) -> None:
    header = Dataset()
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    found = frame_seconds(header, 3)
    assert found == (expected if expected is None else pytest.approx(expected))
