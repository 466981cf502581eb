"""Names of pictures in one folder: views of one study, or several patients."""

from __future__ import annotations

import pytest

from report_gen.imaging.picture_names import differ_like_patients, name_views


@pytest.mark.parametrize(
    "stems",
    [
        "pa lateral",
        "frontal lateral",
        "image_1 image_2",
        "0 1",
        "0001 0002",
        "a b",
        "chest1 chest2",
        "IMG_1234 IMG_1240",
        "imageA imageB",
        "study1_view1_frontal study1_view2_lateral",  # CheXpert
        "CXR1_1_IM-0001-3001 CXR1_1_IM-0001-4001",  # Indiana University
        "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014 174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962",  # MIMIC-CXR-JPG
        "1.2.840.113619.2.5.1762 1.2.840.113619.2.5.1763",
        "doe_pa doe_lateral doe",
        "doe lateral",
        "patient1_1 patient1_2",
        "patient01_pa Patient1-lat",
        "1_pa 2_lateral",
        "doe_pa_1 doe_pa_2",
        "study1_view1_frontal study1_view2_frontal",
    ],
)
def test_views_of_one_study(stems: str) -> None:
    assert not differ_like_patients(stems.split())


@pytest.mark.parametrize(
    "stems",
    [
        "patient01 patient02",
        "sub-03_pa sub-04_lateral",
        "case_7 case_8",
        "s1 s2",
        "p10000032 p10000033",
        "00000001_000 00000002_000",  # ChestX-ray14
        "CXR1_1_IM-0001-3001 CXR2_1_IM-0652-1001",
        "1001 1002",
        "mueller schmidt",
        "doe_jane_pa doe_john_lateral",
        "IMG_20240101_120000 IMG_20240302_120000",
        "chest_2024-01-01 chest_2024-03-02",
        "before after",
        "1_pa 1_lateral 2_pa 2_lateral",
        "1_pa 2_pa 3_pa",
        "1pa 2pa",
        "a_pa b_pa",
        "22_pa 23_pa 24_lat",
        "1_AP 2_PA",
        "1_lat 2_seitlich",
        "image1_pa image1_lat image2_pa image2_lat",
        "10_1 11_1",
        "m\udcfcller m\udcf6ller",  # bytes that are not UTF-8
        "放射 胸部",
    ],
)
def test_several_patients_or_examinations(stems: str) -> None:
    assert differ_like_patients(stems.split())


@pytest.mark.parametrize(
    ("stems", "are_views"),
    [
        ("chest_PA view2_lateral", True),
        ("patient1_pa patient1_lat", True),
        ("7_pa 7_lat", True),
        ("pa image2", False),
        ("1_pa 2_lateral", False),  # two patients with one view each, or two views
        ("pa ap", False),
        ("left_pa right_pa", True),
    ],
)
def test_names_that_leave_no_doubt_are_those_of_views(stems: str, are_views: bool) -> None:
    assert name_views(stems.split()) is are_views
