"""Select corpus rows for an evaluation and read their images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from report_gen.corpora import is_of_source, offsets_of_row, own_and_prior_images
from report_gen.drafting import DraftRequest, PriorStudy
from report_gen.errors import CorpusError
from report_gen.imaging import read_study
from report_gen.labeling import report_labels
from report_gen.metrics import TrainingReports
from report_gen.reading.plain_reports import cut_plain_report
from report_gen.records import FindingSchema, Series, Study, ViewPosition

Row = Mapping[str, Any]
"""One study of a corpus, as `report_gen.corpora.read_corpus` yields it."""


def select_studies(corpus: Iterable[Row], split: str, source: str = "") -> list[Row]:
    """Select the rows of `split` (or `all`) that have images, and labels or a findings text.

    Args:
        corpus: Rows of a corpus.
        split: Split, or `all`.
        source: Source of the rows, as `is_of_source` compares it; empty for all sources.

    Raises:
        CorpusError: Fewer than two rows remain.
    """
    rows = [row for row in corpus if split in ("all", row["split"]) and row["images"]]
    rows = [row for row in rows if has_labels(row) or has_report(row)]
    rows = [row for row in rows if not source or is_of_source(row["source"], source)]
    if len(rows) < 2:
        chosen = f"split {split!r} and source {source!r}" if source else f"split {split!r}"
        raise CorpusError(
            f"fewer than two studies of {chosen} have images and labels or findings texts; name a corpus and a split "
            "that have them"
        )
    return rows


def training_reports(corpus: Iterable[Row], rows: Sequence[Row]) -> TrainingReports | None:
    """Collect findings texts of the train and val splits, without the `rows` to be drafted.

    Returns:
        None if the train split has no text.
    """
    drafted = {row["study_id"] for row in rows}
    texts: dict[str, dict[str, str]] = {"train": {}, "val": {}, "test": {}}
    for row in corpus:
        if has_report(row) and row["study_id"] not in drafted:
            texts[row["split"]][row["study_id"]] = row["findings"]
    return TrainingReports(train=texts["train"], val=texts["val"]) if texts["train"] else None


def nearest_candidates(corpus: Iterable[Row], rows: Sequence[Row]) -> list[Row]:
    """Select the training studies that the image 1-NN baseline may copy, without the `rows` to be drafted."""
    drafted = {row["study_id"] for row in rows}
    return [
        row
        for row in corpus
        if row["split"] == "train" and row["images"] and has_report(row) and row["study_id"] not in drafted
    ]


def label_reports(rows: Iterable[Row], schema: FindingSchema) -> list[Row]:
    """Return the rows; those without labels get the labels of their findings text, as `report_labels` reads them."""
    return [
        {**row, "labels": list(report_labels(row["findings"], schema))}
        if has_report(row) and not has_labels(row)
        else row
        for row in rows
    ]


def has_labels(row: Row) -> bool:
    """Return whether the corpus labels at least one finding of a study."""
    return any(label is not None for label in row["labels"])


def has_report(row: Row) -> bool:
    """Return whether a study has a findings text."""
    return bool(row["findings"].strip())


def study_from_row(row: Row) -> Study:
    """Read the images of a corpus row as one study, with the view positions and offsets of the corpus.

    An image whose view or offset the corpus does not specify keeps that of its header, as in drafting the file itself.
    Images of the prior study are left out, see `request_from_row`.

    Raises:
        StudyError: An image cannot be read.
    """
    own, _ = own_and_prior_images(row)
    return Study(
        name=row["study_id"],
        series=_read_series(row, own),
        indication=row["indication"] or None,
        admitting_diagnoses=row["admitting_diagnoses"] or None,
    )


def request_from_row(row: Row) -> DraftRequest:
    """Return the request for the draft of a corpus row, with its prior study.

    Raises:
        StudyError: An image cannot be read.
    """
    study, (own, prior) = study_from_row(row), own_and_prior_images(row)
    if not prior:
        return DraftRequest(study)
    earlier = Study(name=f"{row['study_id']}-prior", series=_read_series(row, prior))
    text = row["prior_report"]
    report = cut_plain_report(text) if text.strip() else None
    earlier_days = _days_between(row, own, prior)
    return DraftRequest(study, priors=(PriorStudy(earlier, report=report, days_earlier=earlier_days, is_earlier=True),))


def _read_series(row: Row, indices: Sequence[int]) -> tuple[Series, ...]:
    """Read the images of a row at these indices, each as a series.

    Raises:
        StudyError: An image cannot be read.
    """
    offsets, series = offsets_of_row(row), []
    for index in indices:
        path, view, offset = row["images"][index], row["view_positions"][index], offsets[index]
        (one,) = read_study(Path(path)).series
        stated: dict[str, Any] = {} if offset is None else {"offset": offset}
        if view != ViewPosition.UNKNOWN:
            stated["view_position"] = ViewPosition(view)
        images = tuple(replace(image, **stated) for image in one.images)
        description = row["study_description"] or one.study_description
        series.append(replace(one, images=images, study_description=description))
    return tuple(series)


def _days_between(row: Row, own: Sequence[int], prior: Sequence[int]) -> int | None:
    """Return the days from the prior study to the study; None if the corpus does not state those of the prior study."""
    days = row["offsets_days"] or [None] * len(row["images"])
    earlier = [days[index] for index in prior if days[index] is not None]
    return round(max(days[index] or 0 for index in own) - max(earlier)) if earlier else None
