"""Does the drafter say different things of different studies, or the same few texts whatever it is shown?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from report_gen.metrics.finding_scores import States, is_normal
from report_gen.records.findings import FindingSchema

_WORD = re.compile(r"[a-z0-9]+")
_NOT_A_LETTER = re.compile(r"[^a-z0-9]+")
_FEW = 0.05
_MANY = 0.5


@dataclass(frozen=True, kw_only=True)
class DiversityStats:
    """How varied R texts are; shares are 0..1."""

    reports: int
    distinct: int
    commonest: float
    """Share of the commonest text."""
    vocabulary: int
    """Different words used."""
    normal: float
    """Share of texts that state or suspect no abnormal finding, devices apart."""
    copied: float | None
    """Share of texts that occur word for word in the training reports; None without these."""


def diversity_stats(
    texts: Sequence[str],
    states: Sequence[States],
    copied_from: frozenset[str] | None = None,
    *,
    schema: FindingSchema | None = None,
) -> DiversityStats:
    """`texts` as written, `states` their findings, `copied_from` the `letters` of the training reports."""
    bare = [letters(text) for text in texts]
    counts = Counter(bare)
    reports = max(len(texts), 1)
    return DiversityStats(
        reports=len(texts),
        distinct=len(counts),
        commonest=max(counts.values(), default=0) / reports,
        vocabulary=len({word for text in texts for word in _WORD.findall(text.lower())}),
        normal=sum(is_normal(one, schema) for one in states) / reports,
        copied=None if copied_from is None else sum(text in copied_from for text in bare) / reports,
    )


def is_collapsed(drafts: DiversityStats, references: DiversityStats) -> bool:
    """Under 5% as many different texts as the references have, or half of all drafts the same where theirs are not."""
    few = drafts.distinct < _FEW * references.distinct
    same = drafts.commonest >= _MANY and drafts.commonest > 2 * references.commonest
    return few or same


def letters(text: str) -> str:
    """The text's letters and digits alone: casing, stops and spaces do not make it another text."""
    return _NOT_A_LETTER.sub("", text.lower())
