"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from report_gen.auditing import FlagKind, audit_text, is_unsupported
from report_gen.generation import mismatched_findings
from report_gen.records import Finding, FindingSchema, FindingState, Section

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


def remove_unsupported(
    sections: Sequence[Section], findings: Sequence[Finding], schema: FindingSchema
) -> tuple[tuple[Section, ...], int]:
    """Remove the sentences about findings that the model does not predict.

    A model that predicts no finding at all, for example one conditioned on patches alone, keeps every sentence.

    Args:
        sections: The generated sections.
        findings: The findings as they condition the decoder.
        schema: The findings of the model.

    Returns:
        The sections without these sentences, and the number of sentences removed.
    """
    supported = {finding.name for finding in findings if finding.state is not FindingState.UNKNOWN}
    if not supported:
        return tuple(sections), 0
    kept = [
        replace(section, sentences=tuple(s for s in section.sentences if not is_unsupported(s.text, supported, schema)))
        for section in sections
    ]
    removed = sum(len(section.sentences) for section in sections) - sum(len(section.sentences) for section in kept)
    return tuple(section for section in kept if section.sentences), removed
