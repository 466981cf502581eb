"""Content items that both structured reports of a draft have."""

from __future__ import annotations

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes

from report_gen.outputs.dicom.attributes import device_uid, procedure_of
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.draft_terms import IMAGES_SENT, REVISION
from report_gen.outputs.sr_terms import MANUFACTURER
from report_gen.records import BANNER, strip_controls

LANGUAGE = CodedConcept(value="en-US", scheme_designator="RFC5646", meaning="English (United States)")
"""Language of drafts (PS3.16 TID 1204, CID 5000)."""


def observation_context(draft: DraftDocument) -> ObservationContext:
    """Return the device that observed: the model (PS3.16 TID 1001, 1002 and 1004).

    The physical location of the device says to which other computer the images were sent.
    """
    provenance = draft.report.provenance
    name, revision = strip_controls(provenance.model_name), strip_controls(provenance.model_revision)
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(provenance),
        name=name or None,
        manufacturer_name=MANUFACTURER,
        model_name=", ".join(filter(None, (name, revision and f"{REVISION}{revision}"))) or None,
        physical_location=f"{IMAGES_SENT}{strip_controls(provenance.endpoint)}" if provenance.endpoint else None,
    )
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def procedure_item(draft: DraftDocument) -> CodeContentItem:
    """Return the imaging procedure that is reported."""
    return CodeContentItem(codes.DCM.ProcedureReported, procedure_of(draft), RelationshipTypeValues.HAS_CONCEPT_MOD)


def draft_item() -> TextContentItem:
    """Return the banner, the first item of each tree, because viewers show neither the flags nor the series."""
    return text_item(codes.DCM.PreliminaryReport, BANNER)


def forced_items(draft: DraftDocument) -> list[TextContentItem]:
    """Return the notices of a forced draft, to be placed after the banner. `notice_items` contains them as well."""
    return [text_item(codes.DCM.PreliminaryReport, strip_controls(notice)) for notice in draft.report.forced_notices]


def notice_items(draft: DraftDocument) -> list[TextContentItem]:
    """Return the notices."""
    texts = map(strip_controls, draft.report.notices)
    return [text_item(codes.DCM.Comment, text) for text in texts if text]


def text_item(name: CodedConcept, text: str) -> TextContentItem:
    """Return a contained text. Its VR is UT, which has no limit of length (PS3.3 C.18.1)."""
    return TextContentItem(name, text, RelationshipTypeValues.CONTAINS)
