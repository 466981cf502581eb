"""Read drafts in the format TXT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from report_gen.outputs.draft_terms import FINDINGS_FROM_TEXT, IMAGES_SENT, REVISION, UNKNOWN_WEIGHTS
from report_gen.outputs.finding_lines import parse_finding
from report_gen.outputs.text import COMPARED_PREFIX, FINDING_PREFIX
from report_gen.reading.plain_reports import empty_provenance
from report_gen.records import BANNER, Report, Section, SectionName, split_sentences

_NOTICE = "NOTICE: "
_MODEL = re.compile(
    rf"Drafted by (.*), weights (?:([0-9a-f]{{0,12}})|{UNKNOWN_WEIGHTS})"
    rf"(?:, {REVISION}(\S+))?(?:, {IMAGES_SENT}(\S+))?\."
)
_OUTSIDE = "there is text outside of the sections"
_HEADINGS = {f"{name.value}:": name for name in SectionName}


def parse_text_report(text: str) -> Report:
    """Return the draft that `format_text` wrote, with the findings that the user set: the text has no others.

    Raises:
        ValueError: The text does not have the lines of a draft.
    """
    lines = [line.removesuffix("\r") for line in text.rstrip().split("\n")]
    model = _MODEL.fullmatch(lines[-1])
    if lines[0] != BANNER or model is None:
        raise ValueError("the text does not begin with the banner of a draft and end with its model")
    body = lines[1:-1]
    while body and body[-1].startswith((FINDINGS_FROM_TEXT, COMPARED_PREFIX)):
        body.pop()
    first = next((index for index, line in enumerate(body) if line in _HEADINGS), len(body))
    head = [line for line in body[:first] if line]
    notices = tuple(line.removeprefix(_NOTICE) for line in head if line.startswith(_NOTICE))
    lines_of_findings = [line.removeprefix(FINDING_PREFIX) for line in head if line.startswith(FINDING_PREFIX)]
    findings = tuple(filter(None, map(parse_finding, lines_of_findings)))
    if len(notices) + len(findings) < len(head):
        raise ValueError(_OUTSIDE)
    weights, revision, endpoint = (model[number] or "" for number in (2, 3, 4))
    origin = replace(
        empty_provenance(),
        model_name=model[1],
        weights_sha256=weights,
        model_revision=revision,
        endpoint=endpoint,
    )
    return Report(sections=_sections(body[first:]), findings=findings, notices=notices, provenance=origin)


def _sections(lines: Sequence[str]) -> tuple[Section, ...]:
    """Return the sections: each is a heading, a line of text that may be empty, and an empty line."""
    sections: list[Section] = []
    remaining = iter(lines)
    for line in remaining:
        if line in _HEADINGS:
            sections.append(Section(_HEADINGS[line], split_sentences(next(remaining, ""))))
        elif line:
            raise ValueError(_OUTSIDE)
    return tuple(sections)
