"""How varied a set of reports is, and whether drafts have collapsed to a few texts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from report_gen.metrics.finding_scores import States, is_normal
from report_gen.records import FindingSchema

_WORD = re.compile(r"[a-z0-9]+")
_OTHER_BYTES = bytes(sorted(set(range(256)) - set(string.ascii_lowercase.encode() + string.digits.encode())))
"""Bytes of UTF-8 that are no lower-case letter from a to z and no digit."""
_COLLAPSED_DISTINCT = 0.05
"""Distinct drafts over distinct references below which drafts have collapsed."""
_COLLAPSED_SHARE = 0.5
"""Share of the most frequent draft from which drafts have collapsed."""


@dataclass(frozen=True, kw_only=True)
class DiversityStats:
    """How varied R texts are. Shares are 0 to 1."""

    reports: int
    distinct: int
    """Number of distinct texts."""
    most_frequent_share: float
    """Share of the most frequent text."""
    vocabulary: int
    """Number of distinct words."""
    normal_share: float
    """Share of texts in which no abnormal finding is present or uncertain; support devices may be present."""
    copied_share: float | None
    """Share of texts that are also training reports; None without training reports."""


def diversity_stats(
    texts: Sequence[str],
    states: Sequence[States],
    normalized_training: frozenset[str] | None = None,
    *,
    schema: FindingSchema | None = None,
) -> DiversityStats:
    """Count distinct, normal and copied texts.

    Args:
        texts: Reports as written.
        states: Findings of each report.
        normalized_training: Training reports in the form of `normalize_text`.
        schema: The findings; those of chest radiographs if None.
    """
    normalized = [normalize_text(text) for text in texts]
    counts = Counter(normalized)
    words = set(chain.from_iterable(text.lower().split() for text in texts))
    reports = max(len(texts), 1)
    copied = None if normalized_training is None else sum(text in normalized_training for text in normalized)
    return DiversityStats(
        reports=len(texts),
        distinct=len(counts),
        most_frequent_share=max(counts.values(), default=0) / reports,
        vocabulary=len(set(_WORD.findall(" ".join(words)))),
        normal_share=sum(is_normal(report, schema) for report in states) / reports,
        copied_share=None if copied is None else copied / reports,
    )


def is_collapsed(drafts: DiversityStats, references: DiversityStats) -> bool:
    """Return whether drafts have collapsed.

    They have if the distinct drafts are fewer than 5% of the distinct references, or if half of the drafts are the same
    text while no reference is nearly as frequent.
    """
    few_texts = drafts.distinct < _COLLAPSED_DISTINCT * references.distinct
    dominant_text = (
        drafts.most_frequent_share >= _COLLAPSED_SHARE
        and drafts.most_frequent_share > 2 * references.most_frequent_share
    )
    return few_texts or dominant_text


def normalize_text(text: str) -> str:
    """Keep letters and digits in lower case, so that texts that differ in case and punctuation count as equal."""
    return text.lower().encode("utf-8", "surrogatepass").translate(None, _OTHER_BYTES).decode()
