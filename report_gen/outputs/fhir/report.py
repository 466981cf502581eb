"""FHIR DiagnosticReport of a draft."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Sequence

from report_gen.outputs.codes import REPORT
from report_gen.outputs.demographics import identifier_of
from report_gen.outputs.draft_terms import FINDINGS_FROM_TEXT
from report_gen.outputs.fhir import terms
from report_gen.outputs.fhir.context import FhirContext
from report_gen.outputs.fhir.terms import Json, concept
from report_gen.outputs.text import format_text, model_line
from report_gen.records import BANNER, Report, SectionName, strip_controls

_REVISED = {"R4B": "amended", "R5": "modified"}
"""Status of a new version. R5 has a status for changes of a report that was never final; R4B has not. There the
Observations stay preliminary, and the banner comes first (hl7.org/fhir/R5/valueset-diagnostic-report-status.html)."""


def diagnostic_report(context: FhirContext, results: Sequence[str]) -> Json:
    """Return the DiagnosticReport. Neither a performer nor an interpreter is stated, because no person has signed it.

    Args:
        context: The draft.
        results: URLs of the Observations, in the order of the draft.
    """
    report = context.draft.report
    return {
        "resourceType": "DiagnosticReport",
        "meta": context.ai_meta(),
        "text": _narrative(report),
        **_notes(context),
        "identifier": [context.report_identifier, *_accession(context)],
        "status": "preliminary" if context.version == 1 else _REVISED[context.fhir_version],
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "code": concept(REPORT.meaning, REPORT),
        "subject": context.reference("Patient"),
        **context.effective(),
        "issued": context.created,
        **({"result": [{"reference": url} for url in results]} if results else {}),
        "study" if context.is_r5 else "imagingStudy": [context.reference("ImagingStudy")],
        "conclusion": _conclusion(report),
        "presentedForm": _presented_forms(context),
    }


def _narrative(report: Report) -> Json:
    """Return the whole draft as escaped XHTML (hl7.org/fhir/narrative.html), the banner first."""
    paragraphs = [f"<b>{html.escape(BANNER)}</b>"]
    paragraphs += [f"<b>{html.escape(strip_controls(notice))}</b>" for notice in report.forced_notices]
    paragraphs += [html.escape(f"NOTICE: {strip_controls(notice)}") for notice in report.other_notices]
    paragraphs += [
        f"<b>{section.name.value}</b><br/>{html.escape(strip_controls(section.text))}" for section in report.sections
    ]
    paragraphs += [html.escape(statement) for statement in _origin(report)]
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'}


def _origin(report: Report) -> Iterator[str]:
    """Yield where the findings come from, and where the images were sent, as far as this differs from other drafts."""
    if report.findings_from_text:
        yield FINDINGS_FROM_TEXT
    if report.provenance.model_revision or report.provenance.endpoint:
        yield model_line(report)


def _notes(context: FhirContext) -> Json:
    """Return the notices as annotations: R4B has no `DiagnosticReport.note`, so they are an extension there."""
    notes = [{"text": text} for notice in context.draft.report.notices if (text := strip_controls(notice))]
    if not notes:
        return {}
    if context.is_r5:
        return {"note": notes}
    return {"extension": [{"url": terms.NOTE_EXTENSION, "valueAnnotation": note} for note in notes]}


def _accession(context: FhirContext) -> list[Json]:
    number = identifier_of(context.draft.source.attributes, "AccessionNumber")
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
    return [{"type": kind, "value": number}] if number else []


def _conclusion(report: Report) -> str:
    """Return the banner, why a draft is forced, and the impression, or else the findings: viewers show this text."""
    texts = {section.name: strip_controls(section.text) for section in report.sections}
    text = texts.get(SectionName.IMPRESSION) or texts.get(SectionName.FINDINGS) or ""
    return "\n\n".join((BANNER, *map(strip_controls, report.forced_notices), text)).strip()


def _presented_forms(context: FhirContext) -> list[Json]:
    """Return the draft as text and as a page. Neither may be missing: readers of a hospital are shown the page."""
    title, draft = "Draft report", context.draft
    return [
        attachment(format_text(draft.report).encode(), "text/plain; charset=utf-8", title, created=context.created),
        attachment(draft.pdf, "application/pdf", title, created=context.created),
    ]


def attachment(data: bytes, media_type: str, title: str, *, created: str) -> Json:
    """Return an Attachment that holds its data."""
    encoded = base64.b64encode(data).decode("ascii")
    return {"contentType": media_type, "data": encoded, "title": title, "creation": created}
