"""Split complete reports of hospitals into indication, comparison, findings and impression."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

HEADINGS: Mapping[str, str] = {
    **dict.fromkeys(("INDICATION", "INDICATIONS", "CLINICAL INDICATION", "CLINICAL INFORMATION"), "indication"),
    **dict.fromkeys(("HISTORY", "CLINICAL HISTORY", "PATIENT HISTORY", "CLINICAL DATA"), "indication"),
    **dict.fromkeys(("REASON FOR EXAM", "REASON FOR EXAMINATION", "REASON FOR THIS EXAMINATION"), "indication"),
    **dict.fromkeys(("COMPARISON", "COMPARISONS", "COMPARISON EXAM", "COMPARISON FILM"), "comparison"),
    **dict.fromkeys(("REFERENCE EXAM", "PRIOR STUDIES", "PREVIOUS FINDINGS"), "comparison"),
    **dict.fromkeys(
        ("FINDINGS", "FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION", "FINDINGS / IMPRESSION"), "findings"
    ),
    **dict.fromkeys(("IMPRESSION", "IMPRESSIONS", "CONCLUSION", "CONCLUSIONS", "OPINION", "SUMMARY"), "impression"),
    **dict.fromkeys(("EXAM", "EXAMINATION", "TYPE OF EXAMINATION", "STUDY", "PROCEDURE", "TECHNIQUE", "DATE"), "head"),
    **dict.fromkeys(("RECOMMENDATION", "RECOMMENDATION(S)", "RECOMMENDATIONS", "NOTIFICATION"), "left out"),
    **dict.fromkeys(("ADDENDUM", "WET READ", "WETREAD", "PRELIMINARY REPORT"), "left out"),
}
"""Section that begins with each heading: a text field of `Example`, `head` or `left out`.

Text under a `head` may contain the findings. Text under `left out` is dropped.
"""

_HEAD = ("indication", "comparison", "head")
_KEPT = ("indication", "comparison", "findings", "impression")
_WORDS = {"FINDINGS": "findings", "IMPRESSION": "impression", "COMPARISON": "comparison", "HISTORY": "indication"}
"""Words that determine the section of a longer heading in capital letters."""
_VIEW = re.compile(r"\b(?:CHEST|PORTABLE|VIEWS?|FRONTAL|LATERAL|RADIOGRAPHS?|PA|AP)\b")
"""Words of a heading that describes the images: `CHEST, TWO VIEWS: The lungs are clear.`"""


class _Part(NamedTuple):
    section: str
    text: str


def cut_report(text: str) -> dict[str, str]:
    """Split a report into its sections.

    A heading is recognized at the beginning of a line in upper or lower case, alone on a line, and anywhere in capital
    letters or after the end of a sentence. A heading in capital letters may be misspelled, or be a longer name that
    contains a known word. Other words with a colon, such as `Lungs:`, belong to their section. Findings are also

    * the text before the first heading, if the report has no other heading than an impression. Otherwise this text is
      the head of a letter. Its lines in capital letters are a title;
    * if no heading means findings: the text under a heading that describes the images, or else all paragraphs but the
      first under the last heading before the impression;
    * findings and impression under one heading.

    Of several final reports in one text, the last one with findings or an impression is used. A preliminary reading
    (WET READ), an addendum, page breaks and lines of underscores are dropped. Equal texts under equal headings are kept
    once.

    Returns:
        Text of each section on one line, by the name of the section: indication, comparison, findings, impression.
        Empty sections are missing.
    """
    reports = [part for part in _FINAL_REPORT.split(_tidied(text)) if part.strip()]
    cut = [_cut_one(part) for part in reversed(reports)] or [{}]
    return next((texts for texts in cut if texts.get("findings") or texts.get("impression")), cut[0])


def _tidied(text: str) -> str:
    """Return the text with one empty line between paragraphs, also for page breaks and lines of underscores."""
    return _NOISE.sub("\n\n", _LINE_ENDS.sub("\n", text))


def _cut_one(text: str) -> dict[str, str]:
    before, *parts = _parts(text)
    if not parts or parts[0].section == "impression":
        parts = [_Part("findings", _without_title(before.text)), *parts]
    elif not any(part.section == "findings" and part.text.strip() for part in parts):
        parts = _with_findings(parts)
    texts: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        words = " ".join(part.text.split())
        if part.section in _KEPT and words not in texts[part.section]:
            texts[part.section].append(words)
    return {section: " ".join(filter(None, texts[section])) for section in _KEPT if any(texts[section])}


def _parts(text: str) -> list[_Part]:
    """Return the text before the first heading, then the text after each heading."""
    sections, ends = ["before"], [0]
    starts: list[int] = []
    for start, end, section in _headings(text):
        starts.append(start)
        ends.append(end)
        sections.append(section)
    starts.append(len(text))
    return [_Part(section, text[begin:end]) for section, begin, end in zip(sections, ends, starts, strict=True)]


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the start, the end and the section of each heading."""
    found = (match for pattern in _HEADINGS for match in pattern.finditer(text))
    reached, within = 0, "head"
    for match in sorted(found, key=lambda match: match.start(1)):
        section = _section(match[1], within)
        if section is not None and match.start(1) >= reached:
            yield match.start(1), match.end(), section
            reached, within = match.end(), section


def _section(heading: str, within: str) -> str | None:
    """Return the section that begins with a heading, or None if it is an ordinary word with a colon."""
    name = " ".join(heading.upper().split())
    if name in HEADINGS:
        return HEADINGS[name]
    if heading != heading.upper():
        return None
    section = _closest_section(name)
    if section is None and within in (*_HEAD, "left out") and _VIEW.search(name):
        return "findings"
    return section


@lru_cache(maxsize=4096)
def _closest_section(name: str) -> str | None:
    """Return the section of a heading in capital letters, if it contains a known word or misspells a known heading."""
    for word, section in _WORDS.items():
        if re.search(rf"\b{word}\b", name):
            return section
    close = difflib.get_close_matches(name, [known for known in HEADINGS if len(known) > 6], n=1, cutoff=0.87)
    return HEADINGS[close[0]] if close else None


def _without_title(text: str) -> str:
    """Return the text without its first lines in capital letters, unless it has no other lines."""
    lines = text.strip().splitlines()
    while lines and lines[0] == lines[0].upper():
        lines.pop(0)
    return "\n".join(lines) or text


def _with_findings(parts: list[_Part]) -> list[_Part]:
    """Take the findings from the last part before the impression: all its paragraphs but the first, if it is a head."""
    last = next((place for place, part in enumerate(parts) if part.section == "impression"), len(parts)) - 1
    if last < 0 or parts[last].section not in _HEAD:
        return parts
    first, _, others = parts[last].text.strip().partition("\n\n")
    return [*parts[:last], _Part(parts[last].section, first), _Part("findings", others), *parts[last + 1 :]]


_LINE_ENDS = re.compile(r"\r\n?")
_FINAL_REPORT = re.compile(r"^[ \t]*FINAL REPORT[ \t]*:?[ \t]*$", re.MULTILINE)
_NOISE = re.compile(r"\(Over\)\s*\(Cont\)|^[ \t]*_{10,}[ \t]*$|(?:\n[ \t]*){2,}", re.MULTILINE)
_NAMES = "|".join(sorted(map(re.escape, HEADINGS), key=len, reverse=True))
_HEADINGS = (
    re.compile(rf"^[ \t]*((?i:{_NAMES})|[A-Z][A-Z0-9 ()/,&_-]{{2,60}}?)[ \t]*:(?!\d)", re.MULTILINE),
    re.compile(rf"^[ \t]*((?:{_NAMES})(?=[ \t]*$)|(?:ADDENDUM|WET READ)\b)", re.MULTILINE),
    re.compile(rf"\b((?:{_NAMES})|(?<=[.!?] )(?:{_NAMES.title()}))[ \t]*:"),
)
