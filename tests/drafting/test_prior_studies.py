"""Which studies may be the prior of a study, and which one is found in a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from report_gen.drafting.prior_studies import PriorStudy, check_prior, find_priors, latest_prior, unordered_pairs
from report_gen.errors import StudyError, UsageError
from report_gen.imaging import read_study
from report_gen.reading.plain_reports import plain_report
from report_gen.records import Study
from tests.builders import study as picture
from tests.dicom_files import write_dicom

CHEST = {"PatientID": "SECRET1", "BodyPartExamined": "CHEST"}


def dicom_study(folder: Path, number: int, **attributes: Any) -> Study:
    """Return a radiograph; its number is that of the study, of the image and of the day in January 2024."""
    values = {"StudyDate": f"202401{number:02}", "StudyInstanceUID": f"1.{number}", "SOPInstanceUID": f"1.{number}.1"}
    return read_study(write_dicom(folder / f"{number}.dcm", **CHEST | values | attributes))


def test_an_earlier_study_of_the_same_patient(tmp_path: Path) -> None:
    now, then = dicom_study(tmp_path, 13), dicom_study(tmp_path, 1, Modality="DX", PatientID="secret1 ")
    checked = check_prior(now, PriorStudy(then))
    assert (checked.days_earlier, checked.notices) == (12, ())


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PatientID": "SECRET2"}, r"it shows another patient \(different Patient ID\)"),
        ({"PatientBirthDate": "19900101"}, r"it shows another patient \(different birth date\)"),
        ({"PatientID": "", "PatientName": "Roe^Jane"}, r"it shows another patient \(different name\)"),
        (
            {"PatientID": "SECRET2", "PatientName": "Roe^Jane", "PatientBirthDate": "19900101"},
            r"\(different Patient ID, name and birth date\)",
        ),
        ({"StudyDate": "20240114"}, "it is 1 day later; give an earlier one"),
        ({"StudyDate": "20240212"}, "it is 30 days later; give an earlier one"),
        ({"StudyDate": "20240113", "StudyTime": "1100"}, "it is of the same date, and later"),
        ({"StudyDate": "20240113", "StudyTime": "1000"}, "it is of the same date and time; give an earlier one"),
        ({"StudyInstanceUID": "1.13"}, "it is the same study"),
        (
            {"StudyDate": ""},
            r"the headers do not state which is earlier \(no Study Date in \S*1\.dcm\); give the days with "
            r"PriorStudy\(days_earlier",
        ),
        (
            {"StudyDate": "20240113"},
            r"do not state which is earlier \(the same Study Date, and no Study Time in \S*1\.dcm\)",
        ),
        ({"Modality": "CT"}, "its modality differs; give one of the same kind"),
        ({"BodyPartExamined": "HAND"}, "its header names hand, and that of the study chest"),
        (
            {"BodyPartExamined": None, "StudyDescription": "XR KNEE"},
            r"names leg \(knee\), and that of the study",
        ),
    ],
)
def test_a_prior_that_cannot_be_one_is_refused(tmp_path: Path, attributes: dict[str, Any], reason: str) -> None:
    patient = {"PatientName": "Doe^Jane", "PatientBirthDate": "19400101"}
    now = dicom_study(tmp_path, 13, StudyTime="1000", **patient)
    then = dicom_study(tmp_path, 1, **patient | attributes)
    with pytest.raises(StudyError, match=reason) as caught:
        check_prior(now, PriorStudy(then))
    assert caught.value.path == now.path
    assert not any(word in str(caught.value) for word in ("SECRET", "Doe", "Roe", "1940", "1990", "202401"))


def test_days_that_contradict_the_headers_get_a_notice(tmp_path: Path) -> None:
    """De-identification may shift the dates of each study, so that the user may know better than the headers."""
    now, then = dicom_study(tmp_path, 13), dicom_study(tmp_path, 12)
    checked = check_prior(now, PriorStudy(then, days_earlier=5))
    assert checked.days_earlier == 5
    assert checked.notices == (
        "the headers state that the prior study is 1 day earlier; the draft uses the 5 days that the user gave",
    )
    assert check_prior(now, PriorStudy(then, days_earlier=1)).notices == ()
    assert check_prior(now, PriorStudy(then, is_earlier=True)).days_earlier == 1


def test_neither_study_has_a_date(tmp_path: Path) -> None:
    now, then = dicom_study(tmp_path, 13, StudyDate=""), dicom_study(tmp_path, 1, StudyDate="")
    with pytest.raises(StudyError, match=r"\(no Study Date in \S*13\.dcm and \S*1\.dcm\)"):
        check_prior(now, PriorStudy(then))


def test_the_same_file_is_the_same_study(tmp_path: Path) -> None:
    one = picture(tmp_path)
    with pytest.raises(StudyError, match="it is the same study"):
        check_prior(one, PriorStudy(one, days_earlier=3))


def test_another_name_is_accepted_if_the_patient_id_is_the_same(tmp_path: Path) -> None:
    now, then = dicom_study(tmp_path, 13, PatientName="Doe^Jane"), dicom_study(tmp_path, 1, PatientName="Roe^Jane")
    (notice,) = check_prior(now, PriorStudy(then)).notices
    assert notice == "the name of the patient differs in the prior study, but the Patient ID is the same"


def test_the_report_of_another_study_is_refused(tmp_path: Path) -> None:
    now, then = dicom_study(tmp_path, 13), dicom_study(tmp_path, 1)
    report = plain_report({"findings": "No effusion."}, "1.1")
    assert check_prior(now, PriorStudy(then, report=report)).days_earlier == 12
    with pytest.raises(StudyError, match="its report belongs to another study; give the report of the prior study"):
        check_prior(now, PriorStudy(then, report=plain_report({"findings": "No effusion."}, "1.13")))


def test_a_prior_report_that_is_a_draft_gets_a_notice(tmp_path: Path) -> None:
    now, then = dicom_study(tmp_path, 1, StudyDate="20260113"), dicom_study(tmp_path, 2, StudyDate="20260101")
    report = plain_report({"findings": "No effusion."})
    draft = replace(report, provenance=replace(report.provenance, model_name="tiny"))
    assert check_prior(now, PriorStudy(then, report=report)).notices == ()
    notices = check_prior(now, PriorStudy(then, report=draft)).notices
    assert notices == ("the prior report is an unverified draft of report-gen",)


def test_a_prior_report_in_another_language_is_not_read(tmp_path: Path) -> None:
    """The labeler would read "Kein Pneumothorax" as a pneumothorax, which the draft would call resolved."""
    now, then = dicom_study(tmp_path, 13), dicom_study(tmp_path, 1)
    for section in ("findings", "impression"):
        checked = check_prior(now, PriorStudy(then, report=plain_report({section: "Kein Pneumothorax."})))
        assert checked.prior.report is None
        assert checked.notices == ("the prior report does not look like English, so it was not read",)
    english = PriorStudy(then, report=plain_report({"findings": "No pneumothorax."}))
    assert check_prior(now, english).prior is english


def test_a_prior_before_the_birth_of_the_patient_is_refused(tmp_path: Path) -> None:
    """De-identified headers have dates such as 19000101."""
    now = dicom_study(tmp_path, 13, PatientAge="050Y")
    then = dicom_study(tmp_path, 1, StudyDate="19000101")
    born = dicom_study(tmp_path, 2, StudyDate="19740101")
    with pytest.raises(StudyError, match=r"45302 days earlier, before the birth of the patient, who is 50 years old"):
        check_prior(now, PriorStudy(then))
    with pytest.raises(StudyError, match="before the birth"):
        check_prior(now, PriorStudy(born, days_earlier=99999))
    assert check_prior(now, PriorStudy(then, days_earlier=9)).days_earlier == 9
    assert check_prior(now, PriorStudy(born)).days_earlier == 18274
    assert find_priors([now, then])[0] is None
    unknown = dicom_study(tmp_path, 14, PatientAge="000Y")
    assert check_prior(unknown, PriorStudy(born)).days_earlier == 18275


def test_of_pictures_patient_is_unknown_and_the_days_must_be_given(tmp_path: Path) -> None:
    now, then = picture(tmp_path, 0), picture(tmp_path, 1)
    checked = check_prior(now, PriorStudy(then, days_earlier=12))
    assert checked.days_earlier == 12
    assert checked.notices == ("the Patient IDs do not show that the prior study is of the same patient; check it",)
    assert check_prior(now, PriorStudy(then, is_earlier=True)).days_earlier is None
    with pytest.raises(StudyError, match="do not state which is earlier"):
        check_prior(now, PriorStudy(then))


def test_the_latest_prior_is_compared(tmp_path: Path) -> None:
    now, undated = dicom_study(tmp_path, 13), PriorStudy(picture(tmp_path), days_earlier=9)
    first, second = (PriorStudy(dicom_study(tmp_path, number)) for number in (1, 6))

    def latest(*priors: PriorStudy) -> PriorStudy | None:
        checked = latest_prior(now, priors)
        return None if checked is None else checked.prior

    assert latest(first, undated, second) is second
    assert latest(first, undated) is undated
    assert latest() is None
    morning, evening = (
        PriorStudy(dicom_study(tmp_path, number, StudyDate="20240106", StudyTime=hour))
        for number, hour in ((7, "0800"), (8, "2000"))
    )
    assert latest(morning, evening) is latest(evening, morning) is evening


def test_priors_in_a_folder(tmp_path: Path) -> None:
    """Each study gets the latest earlier one of its patient, modality and body part, and no other."""
    first, third = dicom_study(tmp_path, 1), dicom_study(tmp_path, 3, Modality="DX", PatientID="secret1")
    ct, hand = dicom_study(tmp_path, 4, Modality="CT"), dicom_study(tmp_path, 5, BodyPartExamined="HAND")
    stranger, anonymous = dicom_study(tmp_path, 6, PatientID="SECRET2"), dicom_study(tmp_path, 7, PatientID="")
    undated, last = dicom_study(tmp_path, 8, StudyDate=""), dicom_study(tmp_path, 9)
    again = dicom_study(tmp_path, 10, StudyDate="20240109")  # which of the two is earlier is not known
    studies = [last, hand, first, ct, third, stranger, anonymous, undated, again, picture(tmp_path)]
    found = dict(zip((one.name for one in studies), find_priors(studies), strict=True))
    priors = {name: prior.study.name for name, prior in found.items() if prior is not None}
    assert priors == {"3": "1", "9": "3", "10": "3"}


def test_studies_whose_order_is_not_stated(tmp_path: Path) -> None:
    """Neither is the prior of the other one, and both are named: of one date without times, and without a date."""
    first, last = dicom_study(tmp_path, 1), dicom_study(tmp_path, 2)
    again, undated = dicom_study(tmp_path, 3, StudyDate="20240102"), dicom_study(tmp_path, 4, StudyDate="")
    others = [dicom_study(tmp_path, 5, PatientID="SECRET2", StudyDate=""), dicom_study(tmp_path, 6, Modality="CT")]
    hand = dicom_study(tmp_path, 7, BodyPartExamined="HAND", StudyDate="")
    pairs = unordered_pairs([first, last, again, undated, *others, hand, picture(tmp_path)])
    assert [(one.name, other.name) for one, other in pairs] == [("1", "4"), ("2", "3"), ("2", "4"), ("3", "4")]


def test_a_homonym_is_passed_over(tmp_path: Path) -> None:
    """Two hospitals may give one Patient ID to two patients."""
    oldest = dicom_study(tmp_path, 1, PatientName="Doe^Jane")
    other = dicom_study(tmp_path, 2, PatientName="Roe^Richard")
    now = dicom_study(tmp_path, 3, PatientName="DOE^JANE")
    assert find_priors([oldest, other, now])[2] == PriorStudy(oldest)


@pytest.mark.parametrize("days", [-1, 1.5, True, "3"])
def test_a_wrong_number_of_days_is_refused(tmp_path: Path, days: Any) -> None:
    with pytest.raises(UsageError, match=r"days_earlier is .*; give a whole number of at least 0"):
        PriorStudy(picture(tmp_path), days_earlier=days)
