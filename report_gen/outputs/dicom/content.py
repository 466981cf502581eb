"""Content items that both structured reports of a draft have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes

from report_gen.outputs.dicom.attributes import MANUFACTURER, device_uid, procedure_of
from report_gen.outputs.document import DraftDocument
from report_gen.records import BANNER, strip_controls

LANGUAGE = CodedConcept(value="en-US", scheme_designator="RFC5646", meaning="English (United States)")
"""Language of drafts (PS3.16 TID 1204, CID 5000)."""


def observation_context(draft: DraftDocument) -> ObservationContext:
    """Return the device that observed: the model (PS3.16 TID 1001, 1002 and 1004)."""
    provenance = draft.report.provenance
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(provenance),
        name=strip_controls(provenance.model_name) or None,
        manufacturer_name=MANUFACTURER,
        model_name=strip_controls(provenance.model_name) or None,
        serial_number=provenance.weights_sha256,
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def procedure_item(draft: DraftDocument) -> CodeContentItem:
    """Return the imaging procedure that is reported."""
    return CodeContentItem(codes.DCM.ProcedureReported, procedure_of(draft), RelationshipTypeValues.HAS_CONCEPT_MOD)


def opening_items(draft: DraftDocument) -> Iterator[ContentItem]:
    """Yield the draft sentence and the notices.

    They are content, because viewers show neither the flags nor the description of the series.
    """
    yield text_item(codes.DCM.PreliminaryReport, BANNER)
    for notice in draft.report.notices:
        if text := strip_controls(notice):
            yield text_item(codes.DCM.Comment, text)


def insert_opening(content: ContentSequence, items: Iterable[ContentItem]) -> None:
    """Insert items before the first one that the root contains, after its context and modifiers."""
    contained = [item.RelationshipType == RelationshipTypeValues.CONTAINS.value for item in content]
    position = contained.index(True) if True in contained else len(contained)
    for offset, item in enumerate(items):
        content.insert(position + offset, item)


def text_item(name: CodedConcept, text: str) -> TextContentItem:
    """Return a contained text. Its VR is UT, which has no limit of length (PS3.3 C.18.1)."""
    return TextContentItem(name, text, RelationshipTypeValues.CONTAINS)
