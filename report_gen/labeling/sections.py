"""Find the sections of a report: the one section parser of the labeler and of the corpora."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

_VOCABULARY = tomllib.loads((files(__package__) / "vocabularies" / "sections.toml").read_text(encoding="utf-8"))
_SECTIONS = ("indication", "comparison", "head", "findings", "impression", "preliminary", "left out")

HEADINGS: Mapping[str, str] = {heading: section for section in _SECTIONS for heading in _VOCABULARY[section]}
"""Section that begins with each heading: a text field of `Example`, `head`, `preliminary` or `left out`.

Text under a `head` may contain the findings. Text under `left out` is dropped, and so is text under `preliminary`
unless nothing else describes the images.
"""

_HEAD = ("indication", "comparison", "head")
_KEPT = ("indication", "comparison", "findings", "impression")
_DESCRIBING = ("findings", "impression")
_TITLE, _BEFORE = "title", "before"
"""Sections of the text under a title of the images, and before the first heading, until they are resolved."""
_WORDS = {"FINDINGS": "findings", "IMPRESSION": "impression", "COMPARISON": "comparison", "HISTORY": "indication"}
"""Words that determine the section of a longer heading in capital letters."""
_VIEW = re.compile(r"\b(?:CHEST|PORTABLE|VIEWS?|FRONTAL|LATERAL|RADIOGRAPHS?|PA|AP)\b")
"""Words of a heading that describes the images: `CHEST, TWO VIEWS: The lungs are clear.`"""


class _Part(NamedTuple):
    section: str
    start: int
    end: int
    """The text is `report[start:end]`."""


def cut_report(text: str) -> dict[str, str]:
    """Split a report into its sections.

    A heading is recognized

    * with a colon or a dash, at the beginning of a line in any case, and after the end of a sentence;
    * without a colon, alone on a line, between asterisks, and in capital letters before a sentence;
    * with a colon, anywhere in capital letters. It may then be misspelled, or be a longer name that contains a known
      word.

    Other words with a colon, such as `Lungs:`, belong to their section. Findings are also

    * the text before the first heading, if the report has no other heading than an impression, or describes the images
      nowhere else. Otherwise this text is the head of a letter. Its lines in capital letters are a title;
    * if no heading means findings: the text under a title of the images such as PORTABLE AP CHEST RADIOGRAPH, or else
      what follows the first paragraph under the last heading before the impression (or the first line, if nothing
      else describes the images);
    * findings and impression under one heading.

    Of several final reports in one text, the last one with findings or an impression is used. A preliminary reading
    (WET READ) is used if nothing else describes the images. An addendum, page breaks and lines of underscores are
    dropped. Equal texts under equal headings are kept once.

    Returns:
        Text of each section on one line, by the name of the section: indication, comparison, findings, impression.
        Empty sections are missing.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    tidied = _tidied(text)
    for part in _find_parts(tidied):
        words = " ".join(tidied[part.start : part.end].split())
        if part.section in _KEPT and words not in texts[part.section]:
            texts[part.section].append(words)
    return {section: " ".join(filter(None, texts[section])) for section in _KEPT if any(texts[section])}


def describing_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each part of a report that describes the images, see `cut_report`."""
    if not _MAY_HAVE_HEADINGS.search(text):
        yield 0, len(text)
        return
    for part in _find_parts(_tidied(text)):
        if part.section in _DESCRIBING:
            yield part.start, part.end


def report_parts(text: str) -> list[tuple[str, int, int]]:
    """Return the section, the start and the end of each part of a report in order, see `cut_report`.

    A part begins behind its heading. Text before the first heading is missing unless it counts as findings.
    """
    return [(part.section, part.start, part.end) for part in _find_parts(_tidied(text))]


def _tidied(text: str) -> str:
    """Return the text with an empty line for page breaks and lines of underscores. Positions stay the same."""
    lines = _LINE_ENDS.sub(lambda end: "\n".rjust(len(end[0])), text)
    return _NOISE.sub(lambda noise: "\n\n".ljust(len(noise[0])), lines)


def _find_parts(text: str) -> list[_Part]:
    """Return the parts of the report in a tidied text; of several reports, those of the last that describes images."""
    ends = [match.span() for match in _FINAL_REPORT.finditer(text)] if "FINAL REPORT" in text else []
    reports = zip((0, *(end for _, end in ends)), (*(start for start, _ in ends), len(text)), strict=True)
    found = [_resolve(text, _parts(text, *report)) for report in reports if text[slice(*report)].strip()]
    describing = (
        parts
        for parts in reversed(found)
        if any(part.section in _DESCRIBING and _has_text(text, part) for part in parts)
    )
    return next(describing, found[-1] if found else [])


def _has_text(text: str, part: _Part) -> bool:
    return _WORD.search(text, part.start, part.end) is not None


def _resolve(text: str, parts: list[_Part]) -> list[_Part]:
    """Decide which parts without a heading of their own are the findings."""
    before, *others = parts
    if not others or others[0].section == "impression":
        return [_Part("findings", _title_end(text, before), before.end), *others]
    filled = {part.section for part in others if _has_text(text, part)}
    if "findings" in filled:
        return others
    if _TITLE in filled:
        return [part._replace(section="findings") if part.section == _TITLE else part for part in others]
    resolved = _split_head(text, others, describes="impression" in filled)
    if not any(part.section in _DESCRIBING and _has_text(text, part) for part in resolved):
        if any(part.section == "preliminary" and _has_text(text, part) for part in resolved):
            return [part._replace(section="findings") if part.section == "preliminary" else part for part in resolved]
        return [_Part("findings", _title_end(text, before), before.end), *resolved]
    return resolved


def _split_head(text: str, parts: list[_Part], *, describes: bool) -> list[_Part]:
    """Take the findings from the last part before the impression: all its text but its own first paragraph.

    Args:
        text: The report.
        parts: The parts after headings.
        describes: The report has an impression, so it may lack findings. Then only paragraphs and lines are split.
    """
    last = next((place for place, part in enumerate(parts) if part.section == "impression"), len(parts)) - 1
    if last < 0 or parts[last].section not in _HEAD:
        return parts
    section, start, end = parts[last]
    begin = _WORD.search(text, start, end)
    if begin is None:
        return parts
    breaks = [_PARAGRAPH]
    if section != "indication" or not describes:
        breaks.append(_SENTENCE_LINE)
    if not describes:
        breaks.append(_LINE_BREAK)
    if section != "indication" and not describes:
        breaks.append(_SENTENCE_END)
    splits = (pattern.search(text, begin.start(), end) for pattern in breaks)
    split = next(filter(None, splits), None)
    if split is None and section == "indication" and not describes:
        split = _history_end(text, begin.start(), end)
    if split is None:
        return parts
    return [
        *parts[:last],
        _Part(section, start, split.start()),
        _Part("findings", split.end(), end),
        *parts[last + 1 :],
    ]


def _history_end(text: str, start: int, end: int) -> re.Match[str] | None:
    """Return the end of the last sentence of a history, before one that asks nothing and names no symptom or disease.

    "HISTORY: Cough. Large effusion." has no other place for its findings. A single word is no finding ("Diabetes.").
    """
    for split in _SENTENCE_END.finditer(text, start, end):
        following = _SENTENCE_END.search(text, split.end(), end)
        sentence = text[split.end() : following.start() if following else end]
        if len(sentence.split()) > 1 and not _HISTORY.search(sentence):
            return split
    return None


def _parts(text: str, start: int, end: int) -> list[_Part]:
    """Return the text before the first heading of a report, then the text after each heading."""
    parts, section, reached = [], _BEFORE, start
    for heading_start, heading_end, following in _headings(text, start, end):
        parts.append(_Part(section, reached, heading_start))
        section, reached = following, heading_end
    return [*parts, _Part(section, reached, end)]


def _headings(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Yield the start, the end and the section of each heading."""
    found = (
        match
        for words, pattern in _CANDIDATES
        if not words or any(word in text for word in words)
        for match in pattern.finditer(text, start, end)
        if len(match[1]) <= _LONGEST_HEADING
    )
    reached, within = start, "head"
    for match in sorted(found, key=lambda match: (match.start(1), -match.end())):
        if match.start(1) < reached:
            continue
        section = _section(match, within)
        if section is not None:
            yield match.start(), match.end(), section
            reached, within = match.end(), section


def _section(match: re.Match[str], within: str) -> str | None:
    """Return the section that begins with a candidate, or None if it is an ordinary line or word with a colon."""
    name = " ".join(match[1].upper().split())
    is_line, has_colon = match.re is _LINE, match[0].rstrip("*").endswith(":")
    if name in HEADINGS:
        # A word in small letters alone on a line is part of a wrapped sentence.
        return HEADINGS[name] if not is_line or match["end"] or match[1][0].isupper() else None
    undescribed = within not in _DESCRIBING
    if is_line and not match["dash"] and _is_title(name):
        return _TITLE if undescribed else None
    if not has_colon or match[1] != match[1].upper() or not _CAPITALS.fullmatch(match[1].rstrip()):
        return None
    section = _closest_section(name)
    return _TITLE if is_line and section is None and undescribed and _VIEW.search(name) else section


@lru_cache(maxsize=4096)
def _is_title(name: str) -> bool:
    """Return whether all words of a line in capital letters are those of a title of the images."""
    words = {word for word in re.split(r"[\s,/()&]+", name) if word.strip("-._0123456789:")}
    return not words.isdisjoint(_VOCABULARY["titles"]) and words.issubset(_TITLE_WORDS) and not name.endswith(".")


@lru_cache(maxsize=4096)
def _closest_section(name: str) -> str | None:
    """Return the section of a heading in capital letters, if it contains a known word or misspells a known heading."""
    for word, section in _WORDS.items():
        if re.search(rf"\b{word}\b", name):
            return section
    close = difflib.get_close_matches(name, [known for known in HEADINGS if len(known) > 6], n=1, cutoff=0.87)
    return HEADINGS[close[0]] if close else None


def _title_end(text: str, part: _Part) -> int:
    """Return where the text after the first lines in capital letters starts; the start if there are no other lines."""
    start = part.start
    for line in text[part.start : part.end].splitlines(keepends=True):
        if line != line.upper():
            return start
        start += len(line)
    return part.start


_TITLE_WORDS = frozenset([*_VOCABULARY["titles"], *_VOCABULARY["title_words"]])
_WORD = re.compile(r"\S")
_MAY_HAVE_HEADINGS = re.compile(r"[:\n\r*]|[A-Z]{4}|\s[-\u2013\u2014]\s|^(?:Findings|Impression)\b")
_LINE_ENDS = re.compile(r"\r\n?")
_FINAL_REPORT = re.compile(
    r"^[ \t]*FINAL REPORT[ \t]*:?[ \t]*$|(?<=\S)[ \t]+FINAL REPORT[ \t]*:?(?=[ \t]+[A-Z_])", re.MULTILINE
)
_NOISE = re.compile(r"\(Over\)\s*\(Cont\)|^[ \t]*_{10,}[ \t]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE_LINE = re.compile(r"(?<=[.!?])[ \t]*\n[ \t]*(?=[A-Z0-9])")
_LINE_BREAK = re.compile(r"\n[ \t]*(?=[A-Z0-9])")
_SENTENCE_END = re.compile(r"(?<=[.!?])[ \t]+(?=[A-Z])")
_HISTORY = re.compile(rf"[?]|\b(?:{'|'.join(map(re.escape, _VOCABULARY['history words']))})\b", re.IGNORECASE)
_LONGEST_HEADING = 80
_CAPITALS = re.compile(r"[A-Z][A-Z0-9 ()/,&_-]{2,60}")

# Candidates for headings by their form, because a pattern of all headings would be ten times slower. Each pattern is
# tried if the text contains one of the words before it.
_DASH = r"\-\u2013\u2014"
_LINE = re.compile(
    rf"^[ \t]*(?:[*#]{{1,4}}[ \t]*)?([^\s*#:][^\n:*{_DASH}]*(?:(?:[{_DASH}](?=\S)|:(?=\d))[^\n:*{_DASH}]*)*)"
    rf"(?:(?P<end>[*]{{0,2}}:[*]{{0,2}}|(?P<dash>[{_DASH}][ \t]+(?=\S)))|[*]{{0,2}}[ \t]*$)",
    re.MULTILINE,
)
_AFTER_STOP = r"(?:^[ \t]*|(?<=[.!?] ))"
_CANDIDATES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    ((), _LINE),
    (("ADDENDUM", "WET READ"), re.compile(r"^[ \t]*((?:ADDENDUM|WET READ)\b)", re.MULTILINE)),
    (("**",), re.compile(r"[*][*][ \t]*([A-Za-z][^*:\n]{2,40}?)[ \t]*(?::[ \t]*)?[*][*]:?")),
    ((":",), re.compile(r"\b([A-Z]{2}[A-Z()/& \t]{1,50}):")),
    ((":",), re.compile(r"(?<=[.!?] )([A-Za-z][A-Za-z()/& \t]{2,40}):")),
    (
        (),
        re.compile(
            _AFTER_STOP + r"([A-Z]{3,}(?:[ /&]+[A-Z]{2,}){0,4})(?=[ \t]+(?:[A-Z][a-z]|A [a-z]|[\d_]))", re.MULTILINE
        ),
    ),
    (
        ("Findings ", "Impression ", "Conclusion "),
        re.compile(_AFTER_STOP + r"((?:Findings|Impression|Conclusion)(?=[ \t]+[A-Z][a-z]))", re.MULTILINE),
    ),
)
