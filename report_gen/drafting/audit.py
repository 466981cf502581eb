"""Audit a generated text against its conditioning and against itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

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
    *,
    set_by_user: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the notices that a reader of a generated text needs, without those of `user_notices`.

    Args:
        sections: The sections that describe the images; may be empty.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
        set_by_user: Names of the findings whose states the user set.
    """
    notices, text = [], "\n".join(section.text for section in sections)
    if not text:
        notices.append("the model generated no text; write the report by hand")
    notices += _mismatches(text, states, schema, set_by_user)
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


def user_notices(
    sections: Sequence[Section], states: Sequence[FindingState], schema: FindingSchema, set_by_user: Collection[str]
) -> tuple[str, ...]:
    """Return a notice for each way in which a generated text differs from what the user set.

    Unlike a finding that the model predicts as uncertain, one that the user sets to uncertain must be in the text.

    Args:
        sections: The sections that describe the images; may be empty.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
        set_by_user: Names of the findings whose states the user set.
    """
    in_text = label_findings("\n".join(section.text for section in sections), schema)
    notices, names = list[str](), dict[str, list[str]]()
    for name, state in zip(schema.findings, states, strict=True):
        if name not in set_by_user:
            continue
        if name == schema.normal:
            notices += _normal_notice(name, state, in_text[name])
        elif state.is_stated and not in_text[name].is_stated:
            names.setdefault("set by the user, but missing or denied in the text", []).append(name)
        elif state is FindingState.UNCERTAIN and in_text[name] is FindingState.PRESENT:
            names.setdefault("set to uncertain by the user, but certain in the text", []).append(name)
        elif in_text[name].is_stated and not state.is_stated:
            names.setdefault(f"set to {state.value} by the user, but stated in the text", []).append(name)
    return (*notices, *_joined(names))


def _normal_notice(name: str, state: FindingState, in_text: FindingState) -> Iterator[str]:
    """Yield a notice if the user set the finding that means "normal", and the text states the opposite."""
    if state is FindingState.ABSENT and in_text is FindingState.PRESENT:
        yield f"the user set {name} to absent, but the text describes a normal study; write the abnormality by hand"
    elif state is FindingState.PRESENT and in_text in (FindingState.ABSENT, FindingState.UNCERTAIN):
        yield f"the user set {name} to present, but the text describes an abnormal study"


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


def _mismatches(
    text: str, states: Sequence[FindingState], schema: FindingSchema, set_by_user: Collection[str]
) -> Iterator[str]:
    """Yield a notice for each way in which the text differs from the finding states [F] that the user did not set."""
    predicted, in_text = dict(zip(schema.findings, states, strict=True)), label_findings(text, schema)
    names: dict[str, list[str]] = {}
    for name in mismatched_findings(text, states, schema):
        if name in set_by_user:
            continue
        if not predicted[name].is_stated:
            kind = "stated in the text, but not predicted from the image"
        elif in_text[name].is_stated:
            kind = "certain in the text, but only uncertain in the prediction"
        else:
            kind = "predicted from the image, but missing or denied in the text"
        names.setdefault(kind, []).append(name)
    yield from _joined(names)


def _joined(names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield a notice for each kind of difference, with the findings that differ in this way."""
    yield from (f"{kind}: {', '.join(found)}" for kind, found in names.items())
