"""Date and time of a study, against values written by hand in the forms of PS3.5 6.2."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from report_gen.imaging import read_studies, read_study
from report_gen.imaging.dicom import describe_dicom
from report_gen.records import StudyTime
from tests.builders import study
from tests.dicom_files import write_dicom

DAY = date(2024, 2, 29)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"StudyDate": "20240229", "StudyTime": "134501.25"}, StudyTime(DAY, time(13, 45, 1, 250_000))),
        ({"StudyDate": "20240229", "StudyTime": "1345"}, StudyTime(DAY, time(13, 45))),
        ({"StudyDate": "20240229", "StudyTime": "13"}, StudyTime(DAY, time(13))),
        ({"StudyDate": "20240229", "StudyTime": "13:45:01"}, StudyTime(DAY, time(13, 45, 1))),
        ({"StudyDate": "20240229", "StudyTime": "9945"}, StudyTime(DAY)),
        ({"StudyDate": "20240229", "SeriesTime": "10"}, StudyTime(DAY)),  # a time belongs to the date beside it
        ({"StudyDate": "", "SeriesDate": "20240229", "SeriesTime": "10"}, StudyTime(DAY, time(10))),
        ({"StudyDate": "20230229", "AcquisitionDate": "20240229"}, StudyTime(DAY)),  # 2023 was no leap year
        ({"StudyDate": "20240228", "SeriesDate": "20240229"}, StudyTime(date(2024, 2, 28))),
        ({"StudyTime": "10"}, None),
        ({}, None),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_header_dates_the_study(tmp_path: Path, attributes: dict[str, Any], expected: StudyTime | None) -> None:
    assert describe_dicom(write_dicom(tmp_path / "a.dcm", **attributes), "").study_time == expected


def test_a_study_of_several_files_has_the_earliest_time(tmp_path: Path) -> None:
    for number, attributes in enumerate(
        [{"StudyTime": "1200"}, {"StudyTime": "1100"}, {"StudyTime": None}, {"StudyDate": None}], 1
    ):
        values = {"StudyDate": "20240229", **attributes}
        write_dicom(tmp_path / f"{number}.dcm", SOPInstanceUID=f"1.{number}", **values)
    assert read_study(tmp_path).study_time == StudyTime(DAY, time(11))


def test_a_picture_has_no_time(tmp_path: Path) -> None:
    assert study(tmp_path).study_time is None


@pytest.mark.parametrize(
    ("one", "other", "days", "precedes"),
    [
        (StudyTime(DAY), StudyTime(date(2024, 3, 1)), 1, True),
        (StudyTime(DAY, time(23)), StudyTime(date(2025, 2, 28), time(1)), 365, True),
        (StudyTime(DAY, time(10)), StudyTime(DAY, time(11)), 0, True),
        (StudyTime(DAY, time(11)), StudyTime(DAY, time(10)), 0, False),
        (StudyTime(DAY, time(11)), StudyTime(DAY, time(11)), 0, False),
        (StudyTime(DAY), StudyTime(DAY, time(11)), 0, None),
        (StudyTime(date(2024, 3, 1)), StudyTime(DAY), -1, False),
    ],
)
def test_the_order_of_two_studies(one: StudyTime, other: StudyTime, days: int, precedes: bool | None) -> None:
    assert one.days_before(other) == days
    assert one.precedes(other) is precedes


def test_admitting_diagnoses_are_one_line(tmp_path: Path) -> None:
    one = write_dicom(tmp_path / "one" / "a.dcm", AdmittingDiagnosesDescription=["Pneumonia", "", "Sepsis\n"])
    assert read_study(one).admitting_diagnoses == "Pneumonia; Sepsis"
    assert read_study(write_dicom(tmp_path / "none" / "a.dcm")).admitting_diagnoses is None


def test_neither_date_nor_diagnosis_is_in_the_repr_of_a_study(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", StudyDate="20240229", StudyTime="134501", AdmittingDiagnosesDescription="Sepsis")
    (found,) = read_studies(tmp_path).studies
    assert found.study_time is not None
    for text in (repr(found), repr(found.study_time)):
        assert not any(word in text for word in ("2024", "13", "Sepsis", "date(", "time("))
