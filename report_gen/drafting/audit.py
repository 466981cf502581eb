"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Sequence

from report_gen.auditing import FlagKind, audit_text
from report_gen.generation import mismatched_findings, mismatched_locations
from report_gen.records import FindingLocation, FindingSchema, FindingState

_REPORTED = (FlagKind.CONTRADICTION,)
"""Flags that become notices. A reader notices a repetition without help, and unsupported comparisons are removed."""


def draft_notices(
    text: str, states: Sequence[FindingState], schema: FindingSchema, locations: Sequence[FindingLocation] = ()
) -> tuple[str, ...]:
    """Return the notices that a reader of a generated text needs.

    Args:
        text: The sections without headings; may be empty.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
    """
    notices = []
    if not text:
        notices.append("the model generated no text; write the report by hand")
    if mismatched := mismatched_findings(text, states, schema):
        notices.append(f"the text does not match the predicted findings: {', '.join(mismatched)}")
    if mismatched := mismatched_locations(text, locations, schema):
        notices.append(f"the text names a side that the draft was not conditioned on: {', '.join(mismatched)}")
    notices += [f"{flag.kind.value}: {flag.sentence}" for flag in audit_text(text, schema) if flag.kind in _REPORTED]
    return tuple(notices)
