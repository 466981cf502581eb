"""Derive the problems of a corpus from its check. A problem states what is wrong, how often, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator

from report_gen.corpora import SPLITS, ColumnUse, list_names
from report_gen.corpus_qc.results import CorpusCheck, ImageCheck, Problem, TrainOverlap
from report_gen.records import ViewPosition

MIN_POSITIVE = 30
"""Minimum number of positive studies of a finding. Fewer hardly suffice for training, and the score is mostly noise."""
_MANY_COPIES = 0.05
"""Fraction of reports with a copy in train above which a model that copies training reports gets a good score."""
_PLURAL = {"impression": "impressions", "report": "reports"}


def find_problems(check: CorpusCheck) -> Iterator[Problem]:
    """Yield the problems of a corpus, the serious ones first."""
    found = [
        *_contents(check),
        *_structure(check),
        *_splits(check),
        *(_images(check.images) if check.images else ()),
        *_texts(check),
    ]
    yield from sorted(found, key=lambda problem: not problem.serious)


def _contents(check: CorpusCheck) -> Iterator[Problem]:
    """Yield what the whole corpus lacks: images, patients or reports."""
    counts, use = check.counts["all"], check.columns
    if not counts.studies:
        return
    if not counts.images:
        yield _serious(f"no study has an image, so a model cannot learn from images: {_remedy(use, 'image')}")
    if not counts.patients:
        yield _serious(
            f"the patients of all studies are unknown, so patient leakage cannot be detected: {_remedy(use, 'patient')}"
        )
    if counts.with_report:
        return
    # Labels alone suffice for a corpus that is made so, but may also hide a column of reports with an unusual name.
    if not counts.with_labels or (use is not None and use.unused):
        yield _serious(f"no study has a report: {_remedy(use, 'report')}")
    else:
        yield _minor("no study has a report: a model learns only findings from this corpus")


def _remedy(use: ColumnUse | None, field: str) -> str:
    """Return how the column of a field can be given."""
    if use is None:
        return f"the layout of this corpus has fixed columns; add the {field}s, or write a manifest"
    unused = f"; columns not recognized: {list_names(use.unused)}" if use.unused else ""
    return f"name the column (--columns {field}=NAME){unused}"


def _structure(check: CorpusCheck) -> Iterator[Problem]:
    if check.repeated_ids:
        yield _serious(f"{check.repeated_ids} study ids occur more than once: give each study one entry in one split")
    if check.with_nul:
        yield _serious(f"{check.with_nul} studies have NUL characters in their texts: remove them")
    if check.unknown_splits:
        names = ", ".join(map(repr, check.unknown_splits[:5]))
        yield _serious(f"unknown split {names}: use {', '.join(SPLITS)}, or split again (report-gen corpus split)")
    if check.empty:
        yield _minor(f"{check.empty} studies have neither image, report nor label: remove them")


def _splits(check: CorpusCheck) -> Iterator[Problem]:
    if check.patients_in_several_splits:
        yield _serious(
            f"patient leakage: {check.patients_in_several_splits} patients have studies in more than one split, so "
            "test scores are too high: keep each patient in one split (report-gen corpus split)"
        )
    empty = [name for name in SPLITS if not check.counts[name].studies]
    if empty:
        yield _minor(f"no studies in {' and '.join(empty)}: split the corpus (report-gen corpus split)")
    if 0 < check.without_patient < check.counts["all"].studies:
        of = f" of {check.without_patient} studies"
        yield _minor(f"the patients{of} are unknown, so patient leakage cannot be detected: add patient ids")
    for text, by_split in check.overlap_with_train.items():
        copies = {
            split: _fractions(overlap) for split, overlap in by_split.items() if overlap.identical >= _MANY_COPIES
        }
        if copies:
            of = " and ".join(f"{fraction} of the {split}" for split, fraction in reversed(copies.items()))
            yield _minor(
                f"{of} {_PLURAL.get(text, text)} are in train word for word: compare scores with those of the nearest "
                "training report"
            )


def _fractions(overlap: TrainOverlap) -> str:
    return f"{overlap.identical:.0%}" + ("" if overlap.similar is None else f" ({overlap.similar:.0%} with similar)")


def _images(images: ImageCheck) -> Iterator[Problem]:
    if images.missing:
        yield _serious(f"{images.missing} of {images.listed} images are missing: add the files")
    if images.unreadable:
        yield _serious(f"{images.unreadable} of {images.listed} images cannot be read: copy or export them again")
    if images.blank:
        yield _minor(f"{images.blank} images are blank, with one gray level: remove them")
    for split, overlap in images.overlap_with_train.items():
        if overlap.identical:
            yield _serious(
                f"{overlap.identical:.1%} of the {split} images are in train, byte for byte: keep each in one split"
            )
        elif overlap.similar:
            yield _minor(f"{overlap.similar:.1%} of the {split} images are similar to one in train: check for copies")
    duplicates = images.duplicates
    if duplicates.items > duplicates.distinct:
        copies = duplicates.items - duplicates.distinct
        yield _minor(f"{copies} images are copies of others, byte for byte: remove them")
    if duplicates.similar:
        yield _minor(
            f"{duplicates.similar} images in {duplicates.clusters} groups are similar: check whether an image was "
            "saved twice; neighboring slices of a series are similar as well"
        )


def _texts(check: CorpusCheck) -> Iterator[Problem]:
    reports = max(check.counts["all"].with_report, 1)
    if check.with_marks:
        yield _minor(
            f"{check.with_marks / reports:.0%} of the reports have de-identification marks, which a model learns to "
            "write: remove them (report-gen corpus clean)"
        )
    if check.with_prior:
        yield _minor(
            f"{check.with_prior / reports:.0%} of the reports refer to an earlier study, which a model does not get: "
            "remove these sentences (report-gen corpus clean)"
        )
    unknown, all_views = check.views.get(ViewPosition.UNKNOWN, 0), sum(check.views.values())
    if unknown:
        yield _minor(f"the view of {unknown / all_views:.0%} of the images is unknown")
    counts = check.findings_in_labels or check.findings_in_reports
    rare = [name for name, count in counts.items() if 0 < count.present < MIN_POSITIVE]
    if rare:
        yield _minor(f"fewer than {MIN_POSITIVE} studies have {', '.join(rare)}")


def _serious(text: str) -> Problem:
    return Problem(text=text, serious=True)


def _minor(text: str) -> Problem:
    return Problem(text=text, serious=False)
