"""Read the texts of DICOM structured reports: Basic Text, Enhanced and Comprehensive SR (PS3.3 A.35.1 to A.35.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import UID, BasicTextSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from report_gen.errors import StudyError
from report_gen.imaging import raise_study_errors, read_attributes
from report_gen.labeling import HEADINGS, cut_report
from report_gen.outputs.report_file import BROKEN_DICOM
from report_gen.reading.plain_reports import plain_report
from report_gen.records import Report

STORAGES = (BasicTextSRStorage, EnhancedSRStorage, ComprehensiveSRStorage)
LARGEST_FILE = 2**24
"""Largest file that is read, bytes. A report has about ten thousand."""

_KEYWORDS = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "ContentDate",
    "ContentTime",
    "StudyInstanceUID",
    "ValueType",
    "ConceptNameCodeSequence",
    "TextValue",
    "ContentSequence",
)
_OMITTED = "omitted"
"""Name of the section of content that is not read."""
_SECTIONS: Mapping[tuple[str, str], str] = {
    **dict.fromkeys((("DCM", "121070"), ("DCM", "121071"), ("LN", "59776-5")), "findings"),
    **dict.fromkeys((("DCM", "121072"), ("DCM", "121073"), ("LN", "19005-8")), "impression"),
    **dict.fromkeys((("DCM", "121076"), ("DCM", "121077"), ("LN", "55110-1")), "impression"),
    **dict.fromkeys((("DCM", "121111"), ("LN", "55112-7")), "impression"),
    **dict.fromkeys((("DCM", "121060"), ("DCM", "121062"), ("DCM", "121109"), ("LN", "11329-0")), "indication"),
    **dict.fromkeys((("LN", "55752-0"), ("LN", "18785-6"), ("LN", "55115-0")), "indication"),
    **dict.fromkeys((("DCM", "121066"), ("DCM", "121068"), ("DCM", "121069")), "comparison"),
    **dict.fromkeys((("LN", "18834-2"), ("LN", "55114-3")), "comparison"),
    **dict.fromkeys((("DCM", "121064"), ("DCM", "121074"), ("DCM", "121075"), ("DCM", "121078")), _OMITTED),
    **dict.fromkeys((("LN", "55111-9"), ("LN", "18783-1"), ("LN", "55107-7")), _OMITTED),
}
"""Section of each heading of PS3.16 CID 7001 and of the elements under it, by DCM code and by LOINC code.

LOINC codes have replaced DCM codes of the same meaning. Content under an omitted heading is not read.
"""


@dataclass(frozen=True, kw_only=True)
class StructuredReport:
    """Texts of one DICOM structured report."""

    path: Path
    study_instance_uid: str
    written: str
    """Content Date (0008,0023) and Content Time (0008,0033)."""
    texts: dict[str, str] = field(repr=False)
    """By field name of `Example`."""
    has_headings: bool = True
    """Whether findings or impression have a heading; otherwise the document was split by its text."""


def read_structured_report(path: Path) -> StructuredReport | None:
    """Return the report in a DICOM file, or None if the file is not a text SR or is too large.

    Only content items are read. The observation context is not, because it contains names of persons.

    Raises:
        StudyError: The file is malformed.
    """
    with raise_study_errors(path, BROKEN_DICOM):
        if path.stat().st_size > LARGEST_FILE:
            return None
        dataset = read_attributes(path, _KEYWORDS)
        if dataset.get("SOPClassUID") not in STORAGES:
            return None
        texts = _texts(dataset)
        has_headings = bool(set(texts) & {"findings", "impression"})
        return StructuredReport(
            path=path,
            study_instance_uid=str(dataset.get("StudyInstanceUID") or ""),
            written=f"{dataset.get('ContentDate') or ''} {dataset.get('ContentTime') or ''}",
            texts=_joined(texts) if has_headings else cut_report("\n\n".join(chain(*texts.values()))),
            has_headings=has_headings,
        )


def read_sr_report(path: Path) -> Report:
    """Return the report in a DICOM structured report of another program.

    Raises:
        StudyError: The file is malformed, is not a text SR, or has no text.
    """
    found = read_structured_report(path)
    if found is None:
        raise StudyError(path, _why_no_text_sr(path))
    if not any(found.texts.values()):
        raise StudyError(path, "contains no text, or was cut before it; export the report again")
    return plain_report(found.texts, found.study_instance_uid or None)


def _why_no_text_sr(path: Path) -> str:
    """Return why `read_structured_report` found no text SR in a DICOM file, and what to do."""
    with raise_study_errors(path, BROKEN_DICOM):
        if path.stat().st_size > LARGEST_FILE:
            return f"larger than {LARGEST_FILE // 2**20} MiB, so it is not a DICOM SR with text; give another file"
        sop_class = UID(str(read_attributes(path, ("SOPClassUID",)).get("SOPClassUID") or ""))
    if not sop_class:
        return "it ends before its SOP Class UID, or has none; copy or export the report again"
    kind = f"the class {sop_class.name}" if sop_class.name != sop_class else "another class"  # the UID may be any text
    return (
        f"not a DICOM SR with text, but an object of {kind}; give a Basic Text, Enhanced or Comprehensive SR, or a "
        "Comprehensive 3D SR of report-gen"
    )


def _texts(dataset: Dataset) -> dict[str, list[str]]:
    """Return the texts of each section, in document order. Texts without a heading have the section ""."""
    texts: dict[str, list[str]] = defaultdict(list)
    for section, text in _walk(dataset, ""):
        texts[section].append(text)
    return texts


def _joined(texts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the text of each section that is read, on one line."""
    return {name: " ".join(" ".join(texts[name]).split()) for name in texts if name and name != _OMITTED}


def _walk(item: Dataset, within: str) -> Iterator[tuple[str, str]]:
    """Yield (section, text) of every text below a content item, in document order (PS3.3 C.17.3)."""
    section = _section(item) or within
    if item.get("ValueType") == "TEXT" and item.get("TextValue"):
        yield section, str(item.TextValue)
    for child in item.get("ContentSequence") or ():
        if child.get("RelationshipType") == "CONTAINS":
            yield from _walk(child, section)


def _section(item: Dataset) -> str | None:
    """Return the section by the code of the concept name, or by its meaning if the code is private."""
    for concept in item.get("ConceptNameCodeSequence") or ():
        code = (str(concept.get("CodingSchemeDesignator")), str(concept.get("CodeValue")))
        words = " ".join(str(concept.get("CodeMeaning") or "").upper().split())
        section = _SECTIONS.get(code, None if "REPORT" in words else HEADINGS.get(words))  # a whole report has sections
        return _OMITTED if section == "head" else section
    return None
