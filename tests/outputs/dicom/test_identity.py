"""UIDs, series and revisions of the DICOM objects of a draft."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from report_gen.errors import StudyError
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.records import Report
from tests.dicom_files import STUDY_UID
from tests.outputs.dicom.conftest import Draft

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
Write = Callable[[str, DraftDocument], Path]


def render(name: str, document: DraftDocument) -> Dataset:
    return dcmread(BytesIO(get_format(name).render(document)))


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_draft_gives_the_same_bytes(name: str, draft: Draft) -> None:
    assert get_format(name).render(draft()) == get_format(name).render(draft())


@pytest.mark.parametrize("name", FORMATS)
def test_the_time_of_a_draft_does_not_belong_to_its_identity(name: str, draft: Draft, report: Report) -> None:
    later = replace(report.provenance, created="2026-02-02T03:04:05Z")
    assert render(name, draft()).SOPInstanceUID == render(name, draft(provenance=later)).SOPInstanceUID


@pytest.mark.parametrize("name", FORMATS)
def test_another_draft_has_a_series_of_its_own(name: str, draft: Draft) -> None:
    """Both would be the first instance of the series, of which viewers show the last one."""
    one, other = render(name, draft()), render(name, draft(notices=()))
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID
    assert one.InstanceNumber == other.InstanceNumber == 1


def test_another_model_is_another_series_and_another_device(draft: Draft, report: Report) -> None:
    other = replace(report.provenance, weights_sha256="ab" * 32)
    objects = [render("dicom-sr", draft()), render("dicom-sr", draft(provenance=other))]
    assert len({str(one.SeriesInstanceUID) for one in objects}) == 2
    assert len({one.ContributingEquipmentSequence[0].DeviceUID for one in objects}) == 2


@pytest.mark.parametrize("source", ["dicom", "picture"])
def test_two_sop_classes_never_share_a_series(source: str, draft: Draft) -> None:
    basic = DocumentOptions(patient_id="P9", accession_number="A9", basic_text_sr=True)
    objects = [render(name, draft(source)) for name in FORMATS]
    objects.append(render("dicom-sr", draft(source, options=basic)))
    for one, other in itertools.combinations(objects, 2):
        assert one.SOPClassUID != other.SOPClassUID
        assert one.SeriesInstanceUID != other.SeriesInstanceUID
        assert one.SOPInstanceUID != other.SOPInstanceUID
        assert one.StudyInstanceUID == other.StudyInstanceUID
    assert all(UID(one.SOPInstanceUID).is_valid and UID(one.SeriesInstanceUID).is_valid for one in objects)


@pytest.mark.parametrize("name", FORMATS)
def test_a_revision_is_the_next_instance_of_the_series(name: str, draft: Draft, written: Write, tmp_path: Path) -> None:
    path = written(name, draft()).rename(tmp_path / "earlier.dcm")
    earlier, later = dcmread(path), render(name, draft(revises=path))
    assert later.SeriesInstanceUID == earlier.SeriesInstanceUID
    assert later.SOPInstanceUID != earlier.SOPInstanceUID
    assert (earlier.InstanceNumber, later.InstanceNumber) == (1, 2)
    if name == "dicom-sc":  # images have no such attribute
        (reference,) = later.ReferencedImageSequence
        assert later.DerivationDescription.endswith(f" Replaces the image {earlier.SOPInstanceUID}.")
        assert "ReferencedImageSequence" not in earlier
    else:
        (study,) = later.PredecessorDocumentsSequence
        (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert study.StudyInstanceUID == STUDY_UID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Replaced report"
        assert "PredecessorDocumentsSequence" not in earlier
    assert reference.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == earlier.SOPClassUID


@pytest.mark.parametrize("name", FORMATS)
def test_the_third_version_follows_the_second(name: str, draft: Draft, written: Write, tmp_path: Path) -> None:
    first = written(name, draft()).rename(tmp_path / "first.dcm")
    second = written(name, draft(revises=first)).rename(tmp_path / "second.dcm")
    third = render(name, draft(revises=second))
    assert third.InstanceNumber == 3
    assert third.SeriesInstanceUID == dcmread(first).SeriesInstanceUID
    assert len({third.SOPInstanceUID, dcmread(second).SOPInstanceUID, dcmread(first).SOPInstanceUID}) == 3


def test_a_revision_of_something_else_is_refused(draft: Draft, written: Write, tmp_path: Path) -> None:
    other_kind = written("dicom-sc", draft())
    with pytest.raises(StudyError, match=r"draft\.sc\.dcm: .*Secondary Capture.*Enhanced SR"):
        render("dicom-sr", draft(revises=other_kind))
    other_study = written("dicom-sr", draft("picture"))
    with pytest.raises(StudyError, match="another study"):
        render("dicom-sr", draft(revises=other_study))
    text = tmp_path / "a.txt"
    text.write_text("no DICOM")
    with pytest.raises(StudyError, match=r"a\.txt: not a DICOM file"):
        render("dicom-sr", draft(revises=text))
    with pytest.raises(StudyError, match=r"gone\.dcm: .*cannot be read"):
        render("dicom-sr", draft(revises=tmp_path / "gone.dcm"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Manufacturer": "OtherVendor"}, "not written by report-gen"),
        ({"VerificationFlag": "VERIFIED"}, "verified or final"),
        ({"PreliminaryFlag": "FINAL"}, "verified or final"),
        ({"SeriesNumber": ""}, "no valid SeriesNumber"),
        ({"SeriesNumber": "0"}, "no valid SeriesNumber"),
        ({"InstanceNumber": "-1"}, "no valid InstanceNumber"),
        ({"InstanceNumber": "2147483647"}, "no valid InstanceNumber"),
        ({"InstanceNumber": ["1", "2"]}, "malformed DICOM"),
        ({"SeriesInstanceUID": "1.2.x"}, "no valid SeriesInstanceUID"),
        ({"SOPInstanceUID": ["1.2", "1.3"]}, "no valid SOPInstanceUID"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_draft_never_replaces_what_a_person_signed_or_another_program_wrote(
    changes: dict[str, Any], message: str, draft: Draft, written: Write
) -> None:
    path = written("dicom-sr", draft())
    dataset = dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    with pytest.raises(StudyError, match=message):
        render("dicom-sr", draft(revises=path))


def test_a_picture_of_two_patients_has_two_studies(draft: Draft) -> None:
    one, other = (
        render("dicom-sr", draft("picture", options=DocumentOptions(patient_id=patient))) for patient in ("111", "222")
    )
    assert one.StudyInstanceUID != other.StudyInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_the_paper_size_belongs_to_the_page_only(draft: Draft) -> None:
    options = [DocumentOptions(paper=paper) for paper in ("A4", "Letter")]  # type: ignore[arg-type]
    for name, count in (("dicom-sr", 1), ("dicom-pdf", 2)):
        assert len({str(render(name, draft(options=one)).SOPInstanceUID) for one in options}) == count
