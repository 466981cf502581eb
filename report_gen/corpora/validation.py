"""What no corpus may hold: looked for while the studies pass, and in the columns of ids, not in a million objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from report_gen.corpora.examples import SPLITS, Example, is_file
from report_gen.errors import CorpusError

LONGEST_TEXT = 2**17
"""Characters of one text of a study; what is longer is no section of a report."""


class Check:
    """Of one corpus: `watch` its studies, then `conclude` on their table; only emptiness counts unless `thorough`."""

    def __init__(self, path: Path, *, require_images: bool, thorough: bool = True) -> None:
        self._path, self._thorough = path, thorough
        self._require_images = require_images
        self._damaged = self._endless = self._missing = 0
        self._first_missing = ""

    def watch(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The same examples, each looked at as it passes."""
        for example in examples:
            texts = (example.indication, example.comparison, example.findings, example.impression)
            self._damaged += "\0" in "".join((example.study_id, example.patient_id, *texts))
            self._endless += max(map(len, texts)) > LONGEST_TEXT
            if self._require_images:
                self._look_for(example.images)
            yield example

    def conclude(self, dataset: Dataset) -> None:
        """Refuses a corpus without studies, and one with any of the faults below.

        Raises:
            CorpusError: naming the corpus and how many are at fault; never an identifier.
        """
        fault = next(self._faults(dataset), None)
        if fault:
            raise CorpusError(f"{self._path}: {fault}")
        if self._missing:
            many = f"the first of {self._missing} missing images"
            raise CorpusError(f"{self._first_missing}: {many}; put them there, or do not require images.")

    def _look_for(self, images: Iterable[str]) -> None:
        for image in images:
            if not is_file(image):
                self._missing += 1
                self._first_missing = self._first_missing or image

    def _faults(self, dataset: Dataset) -> Iterator[str]:
        table = dataset.data.table
        if not len(dataset):
            yield "the corpus has no studies."
        if not self._thorough:
            return
        if self._damaged:
            yield f"{self._damaged} studies have NUL characters in their texts; remove them."
        if self._endless:
            yield f"{self._endless} studies have a text of more than {LONGEST_TEXT} characters; cut them into sections."
        if strange := set(pc.unique(table["split"]).to_pylist()) - set(SPLITS):
            yield f"unknown split {min(strange)!r}; use {', '.join(SPLITS)}."
        if repeated := len(dataset) - pc.count_distinct(table["study_id"]).as_py():
            yield f"{repeated} study ids occur more than once; give each study one entry in one split."
        if torn := _torn_patients(table):
            yield f"{torn} patients have studies in more than one split; keep each patient in one."


def _torn_patients(table: Any) -> int:
    known = table.select(["patient_id", "split"]).filter(pc.not_equal(table["patient_id"], ""))
    splits = known.group_by("patient_id").aggregate([("split", "count_distinct")])
    return int(pc.sum(pc.greater(splits["split_count_distinct"], 1)).as_py() or 0)
