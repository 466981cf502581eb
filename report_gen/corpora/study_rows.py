"""Tables with several rows for one study: they become one Example."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from report_gen.corpora.examples import Example
from report_gen.errors import CorpusError
from report_gen.records.report import ATTRIBUTES


def join_rows(study_ids: Iterable[str], rows: Iterable[tuple[str, Example]]) -> Iterator[Example]:
    """One example per study, at the place of its last row; images follow each other as the rows do.

    Of the ids only hashes are kept, eight bytes a row, and of the examples those whose last row is still to come.

    Args:
        study_ids: of all rows.
        rows: the same rows again, each with words that name its place.

    Raises:
        CorpusError: rows of one study contradict each other.
    """
    hashes = np.array(array("q", map(hash, study_ids)), dtype=np.int64)
    _, studies, left = np.unique(hashes, return_inverse=True, return_counts=True)
    waiting: dict[str, Example] = {}
    for study, (place, example) in zip(studies, rows, strict=True):
        earlier = waiting.pop(example.study_id, None)
        joined = example if earlier is None else join_examples(earlier, example, place)
        left[study] -= 1
        if left[study]:
            waiting[example.study_id] = joined
        else:
            yield joined
    yield from waiting.values()  # of two ids with one hash, the one that ended first


def join_examples(earlier: Example, later: Example, place: str) -> Example:
    """One study from two rows: images follow each other, everything else must be equal or missing in one of them.

    Attributes are those of all images: where they differ, or one is not known, nothing is known of the study.

    Raises:
        CorpusError: they contradict each other; the message begins with `place`.
    """
    missing: tuple[object, ...] = ("", {})
    joined: dict[str, Any] = {}
    for name in (field.name for field in fields(Example)):
        first, second = getattr(earlier, name), getattr(later, name)
        if name in ("images", "view_positions"):
            joined[name] = first + second
        elif name in ATTRIBUTES:
            joined[name] = first if first == second else ""
        elif first == second or second in missing:
            joined[name] = first
        elif first in missing:
            joined[name] = second
        else:
            raise CorpusError(f"{place} has another {name} than an earlier row of the same study.")
    return Example(**joined)
