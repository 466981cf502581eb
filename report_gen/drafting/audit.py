"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Sequence

from report_gen.auditing import FlagKind, audit_text
from report_gen.generation import mismatched_findings
from report_gen.records import FindingSchema, FindingState

_REPORTED = (FlagKind.PRIOR, FlagKind.CONTRADICTION)
"""Flags that become notices; a reader notices a repetition without help."""


def draft_notices(text: str, states: Sequence[FindingState], schema: FindingSchema) -> tuple[str, ...]:
    """Return the notices that a reader of a generated text needs.

    Args:
        text: The sections without headings; may be empty.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
    """
    notices = []
    if not text:
        notices.append("the model generated no text; write the report by hand")
    if mismatched := mismatched_findings(text, states, schema):
        notices.append(f"the text does not match the predicted findings: {', '.join(mismatched)}")
    notices += [f"{flag.kind.value}: {flag.sentence}" for flag in audit_text(text, schema) if flag.kind in _REPORTED]
    return tuple(notices)
