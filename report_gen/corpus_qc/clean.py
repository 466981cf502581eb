"""Reports without what de-identification left and without what one study cannot tell; what went is kept on record."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from report_gen.auditing.text_audit import has_deidentification_mark, mentions_prior, replace_deidentification_marks
from report_gen.corpus_qc.rows import SECTIONS, Row
from report_gen.records.report import split_sentences


class Marks(StrEnum):
    """What becomes of XXXX, ___ and the like."""

    STRIP = "strip"
    """They go, and the sentence with them if it says nothing without."""
    MASK = "mask"
    """All are written as `MASK`."""
    DROP = "drop"
    """The whole sentence goes."""
    KEEP = "keep"


MASK = "___"
"""As MIMIC-CXR writes it."""

_REPORT = ("findings", "impression")
_WORD = re.compile(r"[^\W\d_]{3}")
_GAP = "\0"
_WITH = r"(?:and|or|of|from|for|with|to|in|on|at|by|dated)"
# What goes with the gap: an age, words that led to it at the end of a clause, and what its punctuation leaves.
_LEFTOVERS = (
    (rf"{_GAP}[- ]years?[- ]old\b", _GAP),
    (rf"(?:\b{_WITH}\s+(?:{_GAP}\s*)+)+(?=[,.;:!?)]|$)", ""),
    (rf"^(?:{_GAP}\s*)+{_WITH}\b", ""),
    (rf"-?{_GAP}(?:'s\b)?-?", ""),
    (r"\(\s*\)", ""),
    (r"\s+(?=[,.;:!?)])|(?<=\()\s+", ""),
    (r"[,;:.]+(?=[,.;])", ""),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One sentence that was changed or taken out."""

    section: str
    was: str
    now: str
    """Empty where nothing is left."""
    reason: str
    """prior or mark"""


def clean_rows(rows: Iterable[Row], *, marks: Marks, drop_priors: bool, tally: Counter[str]) -> Iterator[Row]:
    """The rows, cleaned; each that was changed has `removed`, a list of changes.

    Args:
        rows: With the columns of `corpora.corpus_features`.
        marks: What becomes of de-identification marks in any section.
        drop_priors: Whether sentences of findings and impression go that speak of an earlier study.
        tally: Counts what is done.
    """
    for row in rows:
        cleaned, changes = clean_row(row, marks=marks, drop_priors=drop_priors)
        tally.update(f"sentences {'changed' if change.now else 'dropped'} for a {change.reason}" for change in changes)
        tally["studies"] += 1
        tally["studies changed"] += bool(changes)
        tally["reports left empty"] += _has_report(row) and not _has_report(cleaned)
        yield {**cleaned, "removed": [vars(change) for change in changes]} if changes else cleaned


def clean_row(row: Row, *, marks: Marks, drop_priors: bool) -> tuple[Row, tuple[Change, ...]]:
    """The row as `clean_rows` gives it, and what was changed. Sections without changes keep their white space."""
    cleaned = dict(row)
    changes: list[Change] = []
    for section in SECTIONS:
        kept = []
        before = len(changes)
        for sentence in split_sentences(row[section]):
            now, reason = _clean(sentence.text, marks, drop_priors and section in _REPORT)
            kept += [now] if now else []
            if now != sentence.text:
                changes.append(Change(section=section, was=sentence.text, now=now, reason=reason))
        if len(changes) > before:
            cleaned[section] = " ".join(kept)
    return cleaned, tuple(changes)


def _clean(sentence: str, marks: Marks, drop_prior: bool) -> tuple[str, str]:
    """The sentence as it is kept, and for which reason it was changed."""
    if drop_prior and mentions_prior(sentence):
        return "", "prior"
    if marks is Marks.KEEP or not has_deidentification_mark(sentence):
        return sentence, ""
    if marks is Marks.DROP:
        return "", "mark"
    if marks is Marks.MASK:
        return replace_deidentification_marks(sentence, MASK), "mark"
    return _strip(sentence), "mark"


def _strip(sentence: str) -> str:
    text = replace_deidentification_marks(sentence, _GAP)
    for pattern, replacement in _LEFTOVERS:
        text = re.sub(pattern, replacement, text)
    text = " ".join(text.split()).lstrip(".,;: ")
    return text[:1].upper() + text[1:] if _WORD.search(text) else ""


def _has_report(row: Row) -> bool:
    return any(row[section] for section in _REPORT)
