"""DICOM objects of drafts of models that predict no findings and whose weights are not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.outputs.dicom.attributes import device_uid
from report_gen.records import Report
from tests.outputs.dicom.conftest import Draft
from tests.outputs.dicom.test_findings_sr import comments, groups
from tests.outputs.dicom.test_validity import DEVICE_UID, FORMATS, Write

ORIGIN = "read from the text by the labeler; the model predicts none"


@pytest.fixture
def chat_draft(draft: Draft, chat_report: Report) -> DraftDocument:
    return draft(**{field.name: getattr(chat_report, field.name) for field in fields(chat_report)})


def dataset(draft: DraftDocument, name: str) -> Dataset:
    return dcmread(BytesIO(get_format(name).render(draft)))


def texts(item: Dataset) -> list[str]:
    """Return the texts of a tree in document order."""
    own = [str(item.TextValue)] if "TextValue" in item else []
    return own + [text for child in item.get("ContentSequence", []) for text in texts(child)]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("basic", [False, True])
def test_dciodvfy_finds_no_fault(
    name: str, basic: bool, chat_draft: DraftDocument, written: Write, dciodvfy: Callable[[Path], list[str]]
) -> None:
    options = DocumentOptions(basic_text_sr=basic)
    assert dciodvfy(written(name, replace(chat_draft, options=options))) == DEVICE_UID


@pytest.mark.parametrize("name", FORMATS)
def test_the_equipment_has_no_serial_number(name: str, chat_draft: DraftDocument) -> None:
    (equipment,) = dataset(chat_draft, name).ContributingEquipmentSequence
    assert "DeviceSerialNumber" not in equipment
    assert equipment.DeviceUID == device_uid(chat_draft.report.provenance)


def test_models_without_known_weights_have_different_device_uids(chat_report: Report, report: Report) -> None:
    origin = chat_report.provenance
    assert device_uid(replace(origin, model_name=f"{origin.model_name}\ud800")) == device_uid(origin)  # not in UTF-8
    others = [replace(origin, **{name: "other"}) for name in ("model_name", "model_revision", "endpoint")]
    assert len({device_uid(one) for one in (origin, *others, report.provenance)}) == 5
    assert device_uid(replace(report.provenance, model_name="other")) == device_uid(report.provenance)


@pytest.mark.parametrize("name", ["dicom-sr", "dicom-sr-findings"])
def test_the_observer_has_revision_and_host(name: str, chat_draft: DraftDocument) -> None:
    shown = texts(dataset(chat_draft, name))
    assert f"medgemma-1.5-4b-it, revision {'89abcdef' * 5}" in shown
    assert "images sent to gpu.hospital.example" in shown


def test_the_text_report_says_once_where_the_findings_come_from(chat_draft: DraftDocument) -> None:
    shown = texts(dataset(chat_draft, "dicom-sr"))
    start = shown.index(f"Coded findings: {ORIGIN}.")
    assert shown[start + 1 :] == ["Pneumonia: present.", "No Finding (normal study): absent."]


def test_the_coded_report_says_where_the_findings_come_from(chat_draft: DraftDocument) -> None:
    content = get_format("dicom-sr-findings").render(chat_draft)
    assert comments(content)[-1] == f"Coded findings: {ORIGIN}. No coordinates are given."
    for group in groups(content).values():
        shown = {item.name.meaning: item.value for item in group[0].ContentSequence if item.value_type.value == "TEXT"}
        assert shown["Algorithm Version"] == f"0.1.0, weights unknown, revision {'89abcdef' * 5}"
        assert shown["Algorithm Parameters"] == ORIGIN
        assert not group.get_measurements()
