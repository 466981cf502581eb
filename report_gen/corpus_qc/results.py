"""What was found in a corpus: the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """How much there is in a split, or in all."""

    studies: int
    patients: int
    """Those known by an id."""
    images: int
    with_images: int
    with_report: int
    """Findings, impression or both."""
    with_labels: int


@dataclass(frozen=True, kw_only=True)
class Copies:
    """What stands in train, too, of the sound images or of the texts of one kind; shares are 0..1 of `held`."""

    held: int
    """How many were held against those in train."""
    same: float
    """Share of those that are equal to one in train: word for word, or byte for byte."""
    alike: float | None
    """Share of those that are equal or nearly so; None where this was not looked for."""


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    items: int
    distinct: int
    alike: int
    """How many of the distinct ones are nearly the same as another."""
    clusters: int
    """Groups into which these fall."""


@dataclass(frozen=True, kw_only=True)
class SectionCheck:
    studies: int
    """Those that have the section."""
    words: Mapping[str, float]
    """Percentiles of its length in words, by `PERCENTILES` as text; empty where no study has it."""
    distinct: int | None
    """Different texts, but for case, stops and spaces; None where this was not looked for."""
    marked: int
    """Those with a de-identification mark in it."""


@dataclass(frozen=True, kw_only=True)
class ImageCheck:
    """Opened images."""

    named: int
    missing: int
    unreadable: int
    blank: int
    rows: Mapping[str, float]
    """Percentiles of the height, pixels."""
    columns: Mapping[str, float]
    duplicates: Duplicates
    """Of those that are neither missing, unreadable nor blank; equal means byte for byte."""
    in_train: Mapping[str, Copies]
    """By the other split."""
    faults: tuple[str, ...]
    """The first missing and unreadable files."""


@dataclass(frozen=True, kw_only=True)
class Support:
    """Studies by what is known of one finding."""

    present: int
    absent: int
    uncertain: int = 0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong with a corpus, in one sentence that quotes no report."""

    text: str
    serious: bool
    """Training or testing on the corpus as it is would fail or mislead."""


@dataclass(frozen=True, kw_only=True)
class CorpusCheck:
    """A corpus, checked. It quotes no report; `ImageCheck.faults` names files."""

    source: str
    counts: Mapping[str, SplitCounts]
    """By split, and `all` of them."""
    repeated_ids: int
    """Studies whose id another has had before."""
    damaged: int
    """Studies with NUL characters."""
    strange_splits: tuple[str, ...]
    without_patient: int
    """Studies of which the corpus does not tell the patient."""
    torn_patients: int
    """Patients with studies in more than one split."""
    empty: int
    """Studies with neither image, report nor label."""
    sections: Mapping[str, SectionCheck]
    reports: Duplicates
    in_train: Mapping[str, Mapping[str, Copies]]
    """By text (findings, impression, report) and by the other split."""
    marked: int
    """Reports with a de-identification mark."""
    with_prior: int
    """Reports that speak of an earlier study."""
    prior_sentences: float
    """Share of the sentences that do, 0..1."""
    said: Mapping[str, Support]
    """What the reports say of each finding, read by rules."""
    labelled: Mapping[str, Support]
    """What the corpus's own labels say of it."""
    views: Mapping[str, int]
    images: ImageCheck | None
    """None where they were not opened."""
    problems: tuple[Problem, ...]

    @property
    def serious(self) -> bool:
        return any(problem.serious for problem in self.problems)
