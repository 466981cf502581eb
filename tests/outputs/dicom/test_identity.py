"""UIDs, series and revisions of the DICOM objects of a draft."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID

from report_gen.errors import StudyError
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.outputs.dicom.identity import read_object_version
from report_gen.outputs.versions import DocumentVersion
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


def replaced_by(name: str, later: Dataset) -> list[Dataset]:
    """Return the references of an object to its earlier versions."""
    if name == "dicom-sc":  # images have no Predecessor Documents Sequence
        return list(later.get("ReferencedImageSequence", ()))
    (study,) = later.get("PredecessorDocumentsSequence") or (Dataset(),)
    return [
        reference for series in study.get("ReferencedSeriesSequence", ()) for reference in series.ReferencedSOPSequence
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_a_revision_has_a_series_of_its_own(name: str, draft: Draft, written: Write, tmp_path: Path) -> None:
    """OHIF shows the first text report of a series only, so the replaced version would be the one that is read."""
    path = written(name, draft()).rename(tmp_path / "earlier.dcm")
    earlier, later = dcmread(path), render(name, draft(revises=path))
    assert later.SeriesInstanceUID != earlier.SeriesInstanceUID
    assert later.SOPInstanceUID != earlier.SOPInstanceUID
    assert (earlier.InstanceNumber, later.InstanceNumber) == (1, 2)
    kind = earlier.SeriesDescription.removeprefix("DRAFT ")
    assert later.SeriesDescription == f"DRAFT 2 {kind}"
    assert len(later.SeriesDescription) <= 64
    (reference,) = replaced_by(name, later)
    assert reference.ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == earlier.SOPClassUID
    assert replaced_by(name, earlier) == []
    if name == "dicom-sc":
        assert later.DerivationDescription.endswith(f" Replaces the image {earlier.SOPInstanceUID}.")
    else:
        (study,) = later.PredecessorDocumentsSequence
        assert study.StudyInstanceUID == STUDY_UID
        assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == earlier.SeriesInstanceUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Replaced report"


@pytest.mark.parametrize("name", FORMATS)
def test_the_third_version_refers_to_both_earlier_ones(name: str, draft: Draft, written: Write, tmp_path: Path) -> None:
    first = written(name, draft()).rename(tmp_path / "first.dcm")
    second = written(name, draft(revises=first)).rename(tmp_path / "second.dcm")
    third = render(name, draft(revises=second))
    assert third.InstanceNumber == 3
    uids = [str(dcmread(path).SOPInstanceUID) for path in (first, second)]
    assert [str(one.ReferencedSOPInstanceUID) for one in replaced_by(name, third)] == uids
    assert third.SOPInstanceUID not in uids
    third.save_as(tmp_path / "third.dcm", enforce_file_format=True)
    versions = [read_object_version(tmp_path / f"{one}.dcm") for one in ("first", "second", "third")]
    assert versions == [DocumentVersion(uids[0], number) for number in (1, 2, 3)]


def test_findings_keep_their_tracking_uid_in_a_later_version(draft: Draft, written: Write) -> None:
    path = written("dicom-sr-findings", draft())
    datasets = dcmread(path), render("dicom-sr-findings", draft(revises=path))
    one, other = ([str(item.UID) for item in items_of(dataset) if "UID" in item] for dataset in datasets)
    assert one
    assert one == other


def items_of(dataset: Dataset) -> Iterator[Dataset]:
    """Yield all content items of a structured report."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items_of(item)


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
