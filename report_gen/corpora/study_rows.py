"""Join the rows of a table that belong to one study."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from report_gen.corpora.examples import IMAGE_COLUMNS, Example, per_image
from report_gen.errors import CorpusError
from report_gen.records import ATTRIBUTES


def join_rows(study_ids: Iterable[str], rows: Iterable[tuple[str, Example]]) -> Iterator[Example]:
    """Yield one example per study, when its last row has been read. Images keep the order of the rows.

    The memory holds eight bytes per row, a hash of the study id, and the examples whose last row is still to come.

    Args:
        study_ids: Study ids of all rows.
        rows: The same rows, each with its location for error messages.

    Raises:
        CorpusError: Rows of one study contradict each other.
    """
    hashes = np.array(array("q", map(hash, study_ids)), dtype=np.int64)
    _, studies, remaining = np.unique(hashes, return_inverse=True, return_counts=True)
    waiting: dict[str, Example] = {}
    for study, (location, example) in zip(studies, rows, strict=True):
        earlier = waiting.pop(example.study_id, None)
        joined = example if earlier is None else join_examples(earlier, example, location)
        remaining[study] -= 1
        if remaining[study]:
            waiting[example.study_id] = joined
        else:
            yield joined
    yield from waiting.values()  # if two ids have the same hash, the study that ended first


def join_examples(earlier: Example, later: Example, location: str) -> Example:
    """Join two rows of one study. Images are concatenated; other values must be equal or missing in one row.

    An attribute describes all images. If it differs, or is unknown for one image, it becomes unknown for the study.

    Raises:
        CorpusError: The rows contradict each other. The message begins with `location`.
    """
    missing: tuple[object, ...] = ("", {})
    joined: dict[str, Any] = {}
    for name in (field.name for field in fields(Example)):
        first, second = getattr(earlier, name), getattr(later, name)
        if name in IMAGE_COLUMNS:
            joined[name] = _join_images(earlier, later, name)
        elif name in ATTRIBUTES:
            joined[name] = first if first == second else ""
        elif first == second or second in missing:
            joined[name] = first
        elif first in missing:
            joined[name] = second
        else:
            raise CorpusError(
                f"{location} and an earlier row of the same study differ in {name}; make them equal, or give each "
                "study its own id (--columns study=NAME, if another column has the ids)"
            )
    return Example(**joined)


def _join_images(earlier: Example, later: Example, name: str) -> tuple[object, ...]:
    """Return the values of the images of both rows; a row may have none."""
    return per_image(value for row in (earlier, later) for value in getattr(row, name) or (None,) * len(row.images))
