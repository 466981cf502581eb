"""Read the DICOM structured reports that report-gen wrote: the formats dicom-sr and dicom-sr-findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import BasicTextSRStorage, Comprehensive3DSRStorage, EnhancedSRStorage

from report_gen.errors import StudyError
from report_gen.imaging import raise_study_errors, read_attributes
from report_gen.outputs.codes import PRESENCE, PROBABILITY, SECTIONS, SIDES, STATES, ZONES, Code
from report_gen.outputs.draft_terms import (
    FINDINGS_FROM_TEXT,
    FROM_TEXT,
    IMAGES_SENT,
    LOCATION_SET,
    REVISION,
    STATE_SET,
    parse_title,
)
from report_gen.outputs.finding_lines import parse_finding
from report_gen.outputs.report_file import BROKEN_DICOM
from report_gen.outputs.sr_terms import MANUFACTURER
from report_gen.reading.plain_reports import empty_provenance, known_time
from report_gen.records import (
    Finding,
    FindingLocation,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Side,
)

_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "Manufacturer",
    "ContributingEquipmentSequence",
    "StudyInstanceUID",
    "CurrentRequestedProcedureEvidenceSequence",
    "ContentSequence",
)
_REPORTS = (EnhancedSRStorage, BasicTextSRStorage, Comprehensive3DSRStorage)
_Word = TypeVar("_Word", bound=str)


def read_draft_object(path: Path) -> Report | None:
    """Return the draft in a structured report of report-gen; None for another DICOM object.

    The images come from the evidence, the model's name, revision and endpoint from the observer, its weights, the
    version of the program and the time from the contributing equipment.

    Raises:
        StudyError: The file is malformed or truncated.
    """
    with raise_study_errors(path, BROKEN_DICOM):
        dataset = read_attributes(path, _KEYWORDS)
        if dataset.get("Manufacturer") != MANUFACTURER:
            return None
        if dataset.get("SOPClassUID") in _REPORTS and "ContentSequence" not in dataset:
            raise StudyError(path, "truncated: the file ends before its content; write or export the file again")
        if dataset.get("SOPClassUID") in (EnhancedSRStorage, BasicTextSRStorage):
            return _text_report(dataset)
        return _coded_report(dataset) if dataset.get("SOPClassUID") == Comprehensive3DSRStorage else None


def _text_report(dataset: Dataset) -> Report:
    """Return the draft of the format dicom-sr."""
    comments = _children(dataset, codes.DCM.Comment.value)
    summaries = _children(dataset, codes.DCM.SummaryOfDetections.value)
    return Report(
        sections=tuple(_sections(dataset)),
        findings=tuple(finding for summary in summaries for finding in _findings_of_lines(summary)),
        notices=tuple(_text(item) for comment in comments for item in _contents(comment)),
        provenance=_provenance(dataset),
    )


def _coded_report(dataset: Dataset) -> Report:
    """Return the draft of the format dicom-sr-findings. Its last comment is about the images and no notice."""
    measurements = _children(dataset, codes.DCM.ImagingMeasurements.value)
    groups = [group for one in measurements for group in _children(one, codes.DCM.MeasurementGroup.value)]
    return Report(
        sections=(),
        findings=tuple(_finding_of_group(group) for group in groups if _children(group, PRESENCE.value)),
        notices=tuple(map(_text, _children(dataset, codes.DCM.Comment.value)[:-1])),
        provenance=_provenance(dataset),
    )


def _sections(dataset: Dataset) -> Iterator[Section]:
    names: Mapping[str, SectionName] = {code.value: name for name, code in SECTIONS.items()}
    for item in _contents(dataset):
        if (name := names.get(_concept(item))) is not None:
            yield Section(name, tuple(Sentence(_text(one)) for one in _contents(item)))


def _findings_of_lines(summary: Dataset) -> Iterator[Finding]:
    """Yield the findings of a container; a comment in it says of all of them that they were read from the text."""
    from_text = FINDINGS_FROM_TEXT in map(_text, _children(summary, codes.DCM.Comment.value))
    for item in _children(summary, codes.DCM.SingleImageFinding.value):
        yield replace(_finding_of_line(item), from_text=from_text)


def _finding_of_line(item: Dataset) -> Finding:
    finding, probability = parse_finding(_text(item)), _probability(item)
    if finding is None:
        raise ValueError("a detection is not a finding of a draft")
    return finding if probability is None else replace(finding, probability=probability)


def _finding_of_group(group: Dataset) -> Finding:
    """Return the finding of a measurement group (PS3.16 TID 1501)."""
    (state,), (name,) = _children(group, PRESENCE.value), _children(group, codes.DCM.TrackingIdentifier.value)
    comments = " ".join(map(_text, _children(group, codes.DCM.Comment.value)))
    title, means_normal = parse_title(_text(name))
    return Finding(
        name=title,
        means_normal=means_normal,
        state=_by_code(STATES)[_value(state)],
        probability=_probability(group),
        overridden=STATE_SET in comments,
        from_text=FROM_TEXT in map(_text, _children(group, codes.DCM.AlgorithmParameters.value)),
        location=_location(group),
        location_overridden=LOCATION_SET in comments,
    )


def _location(group: Dataset) -> FindingLocation:
    """Return side and zones of the finding sites. A zone is a site of its own, or the modifier of a site."""
    sides, zones = _by_code(SIDES), _by_code(ZONES)
    sites = _children(group, codes.SCT.FindingSite.value)
    values = [_value(site) for site in sites]
    values += [_value(one) for site in sites for one in _children(site, codes.SCT.TopographicalModifier.value)]
    laterality = [_value(one) for site in sites for one in _children(site, codes.SCT.Laterality.value)]
    return FindingLocation(
        sides[laterality[0]] if laterality else Side.UNKNOWN,
        frozenset(zones[value] for value in values if value in zones),
    )


def _probability(item: Dataset) -> float | None:
    """Return the probability below a content item; None if it has none."""
    for number in _children(item, PROBABILITY.value):
        probability = float(number.MeasuredValueSequence[0].NumericValue)
        if not 0 <= probability <= 1:
            raise ValueError("a number is not a probability")
        return probability
    return None


def _provenance(dataset: Dataset) -> Provenance:
    equipment = next(iter(dataset.get("ContributingEquipmentSequence") or ()), Dataset())
    time = str(equipment.get("ContributionDateTime") or "")
    images = [
        InputFile(sha256="", sop_instance_uid=str(image.ReferencedSOPInstanceUID))
        for study in dataset.get("CurrentRequestedProcedureEvidenceSequence") or ()
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    ]
    name = " ".join(map(_text, _children(dataset, codes.DCM.DeviceObserverName.value)))
    model = " ".join(map(_text, _children(dataset, codes.DCM.DeviceObserverModelName.value)))
    place = " ".join(map(_text, _children(dataset, codes.DCM.DeviceObserverPhysicalLocationDuringObservation.value)))
    return replace(
        empty_provenance(str(dataset.get("StudyInstanceUID") or "") or None),
        model_name=name,
        weights_sha256=str(equipment.get("DeviceSerialNumber") or ""),
        program_version=str(equipment.get("SoftwareVersions") or ""),
        created=known_time(time, "Contribution DateTime") if time else "",
        inputs=tuple(images),
        model_revision=_after(f"{name}, {REVISION}" if name else REVISION, model),
        endpoint=_after(IMAGES_SENT, place),
    )


def _after(beginning: str, text: str) -> str:
    """Return what follows the beginning of a text; an empty text if it begins otherwise."""
    return text.removeprefix(beginning) if text.startswith(beginning) else ""


def _contents(item: Dataset) -> list[Dataset]:
    return list(item.get("ContentSequence") or ())


def _children(item: Dataset, concept: str) -> list[Dataset]:
    """Return the content items below an item whose concept name has this code value, in document order.

    The value is enough: no two of the codes in a draft have the same value in different schemes.
    """
    return [child for child in _contents(item) if _concept(child) == concept]


def _concept(item: Dataset) -> str:
    """Return the code value of the name of a content item."""
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _value(item: Dataset) -> str:
    """Return the code value of a content item of the type CODE."""
    return str(item.ConceptCodeSequence[0].CodeValue)


def _text(item: Dataset) -> str:
    return str(item.get("TextValue") or "")


def _by_code(table: Mapping[_Word, Code]) -> Mapping[str, _Word]:
    return MappingProxyType({code.value: word for word, code in table.items()})
