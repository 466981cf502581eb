"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Sequence

from report_gen.auditing.text_audit import FlagKind, audit_text
from report_gen.generation import mismatched_findings
from report_gen.records.findings import FindingSchema, FindingState

_REPORTED = (FlagKind.PRIOR, FlagKind.CONTRADICTION)
"""Flags that become notices; a reader notices a repetition without help."""


def draft_notices(text: str, states: Sequence[FindingState], schema: FindingSchema) -> tuple[str, ...]:
    """Return what the reader must know about a generated text.

    Args:
        text: the sections without headings; may be empty.
        states: the finding states [F] that conditioned the decoder.
        schema: the F findings of the model.
    """
    notices = []
    if not text:
        notices.append("the model generated no text; write the report by hand")
    if mismatched := mismatched_findings(text, states, schema):
        notices.append(f"the text does not match the predicted findings: {', '.join(mismatched)}")
    notices += [f"{flag.kind.value}: {flag.sentence}" for flag in audit_text(text) if flag.kind in _REPORTED]
    return tuple(notices)
