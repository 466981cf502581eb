"""Remove de-identification marks and sentences about earlier studies from reports, and record every change."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from report_gen.auditing import has_deidentification_mark, mentions_prior, replace_deidentification_marks
from report_gen.corpus_qc.rows import SECTIONS, Row
from report_gen.records import split_sentences


class Marks(StrEnum):
    """Treatment of de-identification marks such as XXXX and ___."""

    STRIP = "strip"
    """Remove the marks, and a sentence that is meaningless without them."""
    MASK = "mask"
    """Replace each mark by `MASK`."""
    DROP = "drop"
    """Remove the sentences with marks."""
    KEEP = "keep"
    """Change nothing."""


MASK = "___"
"""The mark of MIMIC-CXR."""

_REPORT = ("findings", "impression")
_WORD = re.compile(r"[^\W\d_]{3}")
_GAP = "\0"
_CONNECTIVE = r"(?:and|or|of|from|for|with|to|in|on|at|by|dated)"
# Text that is removed with a mark: an age, connectives before or after it, and punctuation that is left over.
_LEFTOVERS = (
    (rf"{_GAP}[- ]years?[- ]old\b", _GAP),
    (rf"(?:\b{_CONNECTIVE}\s+(?:{_GAP}\s*)+)+(?=[,.;:!?)]|$)", ""),
    (rf"^(?:{_GAP}\s*)+{_CONNECTIVE}\b", ""),
    (rf"-?{_GAP}(?:'s\b)?-?", ""),
    (r"\(\s*\)", ""),
    (r"\s+(?=[,.;:!?)])|(?<=\()\s+", ""),
    (r"[,;:.]+(?=[,.;])", ""),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One sentence that was changed or removed."""

    section: str
    before: str
    after: str
    """Empty if the sentence was removed."""
    reason: str
    """`prior` or `mark`."""


def clean_rows(rows: Iterable[Row], *, marks: Marks, drop_priors: bool, tally: Counter[str]) -> Iterator[Row]:
    """Yield the cleaned rows. A changed row has a key `removed` with the list of changes.

    Args:
        rows: Rows with the columns of `corpora.corpus_features`.
        marks: Treatment of de-identification marks in all sections.
        drop_priors: Whether to remove sentences of findings and impression that refer to an earlier study.
        tally: Receives the numbers of changes.
    """
    for row in rows:
        cleaned, changes = clean_row(row, marks=marks, drop_priors=drop_priors)
        tally.update(
            f"sentences {'changed' if change.after else 'removed'} for a {change.reason}" for change in changes
        )
        tally["studies"] += 1
        tally["studies changed"] += bool(changes)
        tally["reports left empty"] += _has_report(row) and not _has_report(cleaned)
        yield {**cleaned, "removed": [vars(change) for change in changes]} if changes else cleaned


def clean_row(row: Row, *, marks: Marks, drop_priors: bool) -> tuple[Row, tuple[Change, ...]]:
    """Return the cleaned row and the changes. Sections without changes keep their white space."""
    cleaned = dict(row)
    changes: list[Change] = []
    for section in SECTIONS:
        kept = []
        earlier = len(changes)
        for sentence in split_sentences(row[section]):
            after, reason = _clean(sentence.text, marks, drop_priors and section in _REPORT)
            kept += [after] if after else []
            if after != sentence.text:
                changes.append(Change(section=section, before=sentence.text, after=after, reason=reason))
        if len(changes) > earlier:
            cleaned[section] = " ".join(kept)
    return cleaned, tuple(changes)


def _clean(sentence: str, marks: Marks, drop_prior: bool) -> tuple[str, str]:
    """Return the cleaned sentence, and the reason if it was changed."""
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
