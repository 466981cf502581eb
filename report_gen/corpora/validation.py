"""Faults that a corpus must not have, counted while its studies are read and in the columns of its table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from report_gen.corpora.examples import SPLITS, Example, is_file, is_synthetic
from report_gen.errors import CorpusError

LONGEST_TEXT = 2**17
"""Longest allowed text, characters. A longer one is not a section of a report."""

_NAMES_SHOWN = 3
"""Missing images that a message names."""
_NAME_CHARACTERS = 200
"""Last characters of a name that a message shows."""


class CorpusValidator:
    """Counts the faults of one corpus: first `count_faults` while reading, then `raise_for_faults` on the table.

    Args:
        path: The corpus, for error messages.
        require_images: Whether a missing image is a fault.
        described: True accepts a corpus in which no study has a report or a label.
        thorough: False accepts every fault but an empty corpus and missing images.
    """

    def __init__(self, path: Path, *, require_images: bool, thorough: bool = True, described: bool = False) -> None:
        self._path, self._thorough = path, thorough
        self._require_images = require_images
        self._with_nul = self._too_long = self._missing = self._listed = 0
        self._only_priors = 0
        self._first_missing: list[str] = []
        self._described = described

    def count_faults(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Yield the same examples, and count their faults."""
        for example in examples:
            order = (example.study_description, example.admitting_diagnoses, example.prior_report)
            texts = (example.indication, example.comparison, *order, example.findings, example.impression)
            self._with_nul += "\0" in "".join((example.study_id, example.patient_id, *texts))
            self._too_long += max(map(len, texts)) > LONGEST_TEXT
            if self._require_images:
                self._count_missing(example.images)
            self._described |= any(map(str.strip, texts[-2:])) or bool(example.labels or example.soft_labels)
            self._only_priors += bool(example.is_prior) and all(example.is_prior)
            yield example

    def raise_for_faults(self, dataset: Dataset) -> None:
        """Check the table of the corpus.

        Raises:
            CorpusError: The corpus is empty or has faults. The message gives their number and no identifier.
        """
        fault = next(self._faults(dataset), None)
        if fault:
            raise CorpusError(f"{self._path}: {fault}")
        if self._missing:
            names = ", ".join(self._first_missing) + (" ..." if self._missing > _NAMES_SHOWN else "")
            raise CorpusError(
                f"{self._path}: {self._missing} of {self._listed} images are missing: {names}; add the files, correct "
                "their names, or leave them out (corpus --skip-missing; in a recipe unreadable = "
                '"leave-out")'
            )

    def _count_missing(self, images: Iterable[str]) -> None:
        for image in images:
            self._listed += 1
            if not is_file(image):
                self._missing += 1
                self._first_missing += [image[-_NAME_CHARACTERS:]] if len(self._first_missing) < _NAMES_SHOWN else []

    def _faults(self, dataset: Dataset) -> Iterator[str]:
        if not len(dataset):
            yield "the corpus has no studies; check the path and the layout"
        if not self._thorough:
            return
        if not self._described:
            yield (
                "no study has a report or a label; name the column of the reports (--columns report=NAME; `report-gen "
                "corpus check` lists the columns)"
            )
        if self._with_nul:
            yield f"{self._with_nul} studies have NUL characters in their texts; remove them"
        if self._too_long:
            yield f"{self._too_long} studies have a text of more than {LONGEST_TEXT} characters; split it into sections"
        if self._only_priors:
            yield f"{self._only_priors} studies have images of the prior study only; add their own, or correct is_prior"
        yield from _table_faults(dataset)


def _table_faults(dataset: Dataset) -> Iterator[str]:
    """Yield the faults that the table of a corpus shows."""
    table = dataset.data.table
    if unknown := set(pc.unique(table["split"]).to_pylist()) - set(SPLITS):
        yield f"unknown split {min(unknown)!r}; use {', '.join(SPLITS)}"
    if repeated := len(dataset) - pc.count_distinct(table["study_id"]).as_py():
        yield f"{repeated} study ids occur more than once; give each study one entry in one split"
    if held_out := _count_held_out_synthetic(table):
        yield f"{held_out} synthetic images are validation or test data; put them into the split train"
    if leaking := _count_patients_in_several_splits(table):
        yield f"patient leakage: {leaking} patients have studies in more than one split; keep each in one"


def _count_held_out_synthetic(table: Any) -> int:
    held_out = table.filter(pc.not_equal(table["split"], "train"))["source"].to_pylist()
    return sum(map(is_synthetic, held_out))


def _count_patients_in_several_splits(table: Any) -> int:
    known = table.select(["patient_id", "split"]).filter(pc.not_equal(table["patient_id"], ""))
    splits = known.group_by("patient_id").aggregate([("split", "count_distinct")])
    return int(pc.sum(pc.greater(splits["split_count_distinct"], 1)).as_py() or 0)
