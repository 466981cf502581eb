"""Results of checking a corpus, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from report_gen.corpora import ColumnUse

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


@dataclass(frozen=True, kw_only=True)
class SplitCounts:
    """Numbers of studies, patients and images in one split, or in all splits."""

    studies: int
    patients: int
    """Patients with an id."""
    images: int
    with_images: int
    """Studies with images."""
    with_report: int
    """Studies with findings, impression or both."""
    with_labels: int
    """Studies with a label."""


@dataclass(frozen=True, kw_only=True)
class TrainOverlap:
    """Overlap of one split with train, for readable images or for texts of one kind. Fractions are 0..1 of `items`."""

    items: int
    """Images or texts of the split."""
    identical: float
    """Fraction that is equal to one in train: byte for byte, or word for word."""
    similar: float | None
    """Fraction that is equal or similar to one in train; None if similarity was not examined."""


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Identical and similar items among images or reports."""

    items: int
    distinct: int
    """Items without identical copies."""
    similar: int
    """Distinct items that are similar to another."""
    clusters: int
    """Groups of similar items."""


@dataclass(frozen=True, kw_only=True)
class SectionCheck:
    """One section of the reports."""

    studies: int
    """Studies that have the section."""
    words: Mapping[str, float]
    """Length in words: values by percentile, `PERCENTILES` as text; empty if no study has the section."""
    distinct: int | None
    """Different texts, apart from case, punctuation and spaces; None if not examined."""
    with_marks: int
    """Studies with a de-identification mark in the section."""


@dataclass(frozen=True, kw_only=True)
class ImageCheck:
    """The images, after each file was opened."""

    listed: int
    """Images that the corpus lists."""
    missing: int
    unreadable: int
    blank: int
    rows: Mapping[str, float]
    """Height in pixels: values by percentile."""
    columns: Mapping[str, float]
    """Width in pixels: values by percentile."""
    duplicates: Duplicates
    """Among the images that are neither missing, unreadable nor blank; identical means byte for byte."""
    overlap_with_train: Mapping[str, TrainOverlap]
    """By the other split."""
    errors: tuple[str, ...]
    """The first missing and unreadable files, with the reason."""


@dataclass(frozen=True, kw_only=True)
class FindingCounts:
    """Numbers of studies by the state of one finding."""

    present: int
    absent: int
    uncertain: int = 0


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem of a corpus, in one sentence that quotes no report."""

    text: str
    serious: bool
    """Whether training or testing on the corpus would fail or give misleading scores."""


@dataclass(frozen=True, kw_only=True)
class CorpusCheck:
    """Results of checking a corpus. They quote no report; `ImageCheck.errors` contains names of files."""

    source: str
    counts: Mapping[str, SplitCounts]
    """By split, and `all` for the whole corpus."""
    repeated_ids: int
    """Studies whose id another study has."""
    with_nul: int
    """Studies with NUL characters."""
    unknown_splits: tuple[str, ...]
    without_patient: int
    """Studies whose patient is not known."""
    patients_in_several_splits: int
    """Patients with studies in more than one split (patient leakage)."""
    empty: int
    """Studies without image, report and label."""
    sections: Mapping[str, SectionCheck]
    reports: Duplicates
    overlap_with_train: Mapping[str, Mapping[str, TrainOverlap]]
    """By kind of text (findings, impression, report) and by the other split."""
    with_marks: int
    """Reports with a de-identification mark."""
    with_prior: int
    """Reports that refer to an earlier study."""
    prior_sentences: float
    """Fraction of sentences that refer to an earlier study, 0..1."""
    findings_in_reports: Mapping[str, FindingCounts]
    """By finding, as the labeler reads the reports."""
    findings_in_labels: Mapping[str, FindingCounts]
    """By finding, as the corpus labels the studies."""
    views: Mapping[str, int]
    """Images by view position."""
    images: ImageCheck | None
    """None if the images were not opened."""
    problems: tuple[Problem, ...]
    columns: ColumnUse | None = None
    """How the columns of the corpus are used; None if its layout has fixed columns."""

    @property
    def serious(self) -> bool:
        """Whether any problem is serious."""
        return any(problem.serious for problem in self.problems)
