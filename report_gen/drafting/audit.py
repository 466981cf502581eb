"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from report_gen.auditing import FlagKind, audit_text
from report_gen.generation import mismatched_findings, mismatched_locations
from report_gen.labeling import label_findings
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
    notices += _mismatches(text, states, schema)
    if sides := mismatched_locations(text, locations, schema):
        notices.append(f"the side in the text was not predicted, check left and right: {', '.join(sides)}")
    notices += [
        f'the text contradicts itself: "{flag.sentence}" {flag.reason}'
        for flag in audit_text(text, schema)
        if flag.kind in _REPORTED
    ]
    return tuple(notices)


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
