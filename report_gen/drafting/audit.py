"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from report_gen.auditing import (
    Disagreement,
    DisagreementKind,
    FlagKind,
    audit_text,
    find_disagreements,
    findings_in_one_section,
)
from report_gen.generation import mismatched_findings, mismatched_locations
from report_gen.labeling import label_findings
from report_gen.records import DESCRIBING_SECTIONS, FindingLocation, FindingSchema, FindingState, Section

_REPORTED = (FlagKind.CONTRADICTION,)
"""Flags that become notices. A reader notices a repetition without help, and unsupported comparisons are removed."""


def draft_notices(
    sections: Sequence[Section],
    states: Sequence[FindingState],
    schema: FindingSchema,
    locations: Sequence[FindingLocation] = (),
) -> tuple[str, ...]:
    """Return the notices that a reader of a generated text needs.

    Args:
        sections: The sections that describe the images; may be empty.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
    """
    notices, text = [], "\n".join(section.text for section in sections)
    if not text:
        notices.append("the model generated no text; write the report by hand")
    notices += _mismatches(text, states, schema)
    if sides := mismatched_locations(text, locations, schema):
        notices.append(f"the side in the text was not predicted, check left and right: {', '.join(sides)}")
    notices += [
        f'the text contradicts itself: "{flag.sentence}" {flag.reason}'
        for flag in audit_text(text, schema)
        if flag.kind in _REPORTED
    ]
    notices += map(_describe, find_disagreements(sections, schema))
    notices += _one_section_notices(sections, schema)
    return tuple(notices)


def _describe(disagreement: Disagreement) -> str:
    """Return the notice of a disagreement."""
    match disagreement.kind:
        case DisagreementKind.SIDE:
            return f"FINDINGS and IMPRESSION disagree about the side of {disagreement.finding}; check left and right"
        case DisagreementKind.DEGREE:
            first, second = disagreement.sentences
            return f'the text contradicts itself: "{second}" gives {disagreement.finding} another degree than: {first}'


def _one_section_notices(sections: Sequence[Section], schema: FindingSchema) -> Iterator[str]:
    """Yield a notice for each section that states abnormalities that the other one does not."""
    for name, findings in findings_in_one_section(sections, schema).items():
        if findings:
            (other,) = set(DESCRIBING_SECTIONS) - {name}
            yield f"stated in {name}, but not in {other}: {', '.join(findings)}"


def _mismatches(text: str, states: Sequence[FindingState], schema: FindingSchema) -> Iterator[str]:
    """Yield a notice for each way in which the text differs from the finding states [F]."""
    predicted, in_text = dict(zip(schema.findings, states, strict=True)), label_findings(text, schema)
    names: dict[str, list[str]] = {}
    for name in mismatched_findings(text, states, schema):
        if not predicted[name].is_stated:
            kind = "stated in the text, but not predicted from the image"
        elif in_text[name].is_stated:
            kind = "certain in the text, but only uncertain in the prediction"
        else:
            kind = "predicted from the image, but missing or denied in the text"
        names.setdefault(kind, []).append(name)
    yield from (f"{kind}: {', '.join(found)}" for kind, found in names.items())
