"""Write a draft as a text report for readers: Enhanced SR, or Basic Text SR for old archives (PS3.16 TID 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from highdicom.sr import (
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    EnhancedSR,
    LanguageOfContentItemAndDescendants,
    NumContentItem,
    RelationshipTypeValues,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage, EnhancedSRStorage

from report_gen.outputs.codes import PROBABILITY, REPORT, SECTIONS, SENTENCES
from report_gen.outputs.dicom.attributes import (
    add_predecessor,
    equipment_arguments,
    evidence_of,
    finish,
    header_errors,
    to_concept,
)
from report_gen.outputs.dicom.content import (
    LANGUAGE,
    draft_item,
    forced_items,
    notice_items,
    observation_context,
    procedure_item,
    text_item,
)
from report_gen.outputs.dicom.identity import identify_object
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.draft_terms import FINDINGS_FROM_TEXT
from report_gen.outputs.finding_lines import describe_finding
from report_gen.records import Finding, FindingState, Section, strip_controls

_SERIES_NUMBER = 9601
_Item = TypeVar("_Item", bound=ContentItem)
_ORDER = (FindingState.PRESENT, FindingState.UNCERTAIN, FindingState.ABSENT)


def format_dicom_sr(draft: DraftDocument) -> bytes:
    """Write a draft as a DICOM structured report that viewers show as text.

    The tree begins with the banner and the reasons of a forced draft. A container has the notices. Findings and
    impression are containers with one text for each sentence. A last container has one text for each finding of the
    model whose state is known, with its calibrated probability; Basic Text SR has no numbers, so the probability is in
    the text only. If the findings were read from the text of the draft, the first item of the container is a comment
    that says so. The confidence of a sentence is not written, because it is the probability of the words, not of the
    statement.

    The flags are PARTIAL, UNVERIFIED and PRELIMINARY. A study of pictures without headers has no evidence, because no
    object exists that could be referred to.

    Args:
        draft: The draft.

    Raises:
        StudyError: The source cannot be read or copied, or `revises` is no earlier version.
    """
    sop_class_uid = BasicTextSRStorage if draft.options.basic_text_sr else EnhancedSRStorage
    identity = identify_object(draft, format_name="dicom-sr", sop_class_uid=sop_class_uid, series_number=_SERIES_NUMBER)
    with header_errors(draft):
        dataset = EnhancedSR(
            evidence=evidence_of(draft),
            content=_root(draft),
            series_instance_uid=identity.series_instance_uid,
            series_number=identity.series_number,
            sop_instance_uid=identity.sop_instance_uid,
            instance_number=identity.version,
            **equipment_arguments(draft, identity, kind="report"),
        )
        # highdicom has no class for Basic Text SR, whose content is a subset of that of Enhanced SR (PS3.3 A.35.1).
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class_uid
        add_predecessor(dataset, identity)
        return finish(dataset, draft)


def _root(draft: DraftDocument) -> ContainerContentItem:
    root = ContainerContentItem(to_concept(REPORT), template_id="2000")
    root.ContentSequence = ContentSequence([draft_item(), *forced_items(draft)])
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(LANGUAGE))
    root.ContentSequence.extend(observation_context(draft))
    root.ContentSequence.append(procedure_item(draft))
    if notices := notice_items(draft):
        root.ContentSequence.append(_container(codes.DCM.Comment, notices))
    root.ContentSequence.extend(_section_item(section) for section in draft.report.sections)
    stated = [finding for state in _ORDER for finding in draft.report.findings if finding.state is state]
    if stated:
        items = [_finding_item(finding, numbers=not draft.options.basic_text_sr) for finding in stated]
        if draft.report.findings_from_text:
            items.insert(0, text_item(codes.DCM.Comment, FINDINGS_FROM_TEXT))
        root.ContentSequence.append(_container(codes.DCM.SummaryOfDetections, items))
    return root


def _section_item(section: Section) -> ContainerContentItem:
    texts = filter(None, (strip_controls(sentence.text) for sentence in section.sentences))
    name = to_concept(SENTENCES[section.name])
    return _container(to_concept(SECTIONS[section.name]), [text_item(name, text) for text in texts])


def _finding_item(finding: Finding, *, numbers: bool) -> ContentItem:
    item = text_item(codes.DCM.SingleImageFinding, describe_finding(finding))
    if not numbers or finding.probability is None:
        return item
    probability = NumContentItem(
        to_concept(PROBABILITY),
        round(finding.probability, 4),
        codes.UCUM.NoUnits,
        relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
    )
    return _with_children(item, [probability])


def _container(name: Code | CodedConcept, items: Sequence[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name, relationship_type=RelationshipTypeValues.CONTAINS)
    return _with_children(container, items)


def _with_children(parent: _Item, children: Sequence[ContentItem]) -> _Item:
    """Return an item with children. An empty Content Sequence is not allowed (type 1C, PS3.3 C.17.3)."""
    if children:
        parent.ContentSequence = ContentSequence(children)
    return parent
