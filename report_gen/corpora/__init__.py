"""Corpora on disk as `datasets.Dataset`, one module per layout, all with the columns of `FEATURES`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from report_gen.corpora import indiana, manifest, nih, r2gen
from report_gen.corpora.examples import (
    FEATURES,
    SPLITS,
    Example,
    build_dataset,
    check_examples,
    check_images,
    without_missing_images,
)
from report_gen.errors import CorpusError

__all__ = ["FEATURES", "LAYOUTS", "SPLITS", "Example", "Layout", "check_images", "read_corpus"]


class Layout(NamedTuple):
    """How a corpus lies on disk."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], list[Example]]


LAYOUTS: Mapping[str, Layout] = {
    "r2gen": Layout(r2gen.matches, r2gen.read),
    "indiana": Layout(indiana.matches, indiana.read),
    "nih": Layout(nih.matches, nih.read),
    "manifest": Layout(manifest.matches, manifest.read),
}


def read_corpus(
    path: Path, *, layout: str | None = None, require_images: bool | None = True, check: bool = True
) -> Dataset:
    """The studies of a corpus, in memory; nothing of it is left in a cache on disk.

    Args:
        path: A file or folder in one of `LAYOUTS`.
        layout: Its layout; found by looking when None.
        require_images: False leaves out the images that are not there instead of refusing the corpus; None keeps the
            names of all without looking.
        check: False leaves texts, ids, splits and patients unchecked, for who reports or mends what is wrong.

    Raises:
        CorpusError: when the layout is unknown or ambiguous, the corpus cannot be read, is empty, tells a study twice,
            has a patient in two splits, or lacks an image.
    """
    if not path.exists():
        raise CorpusError(f"{path}: no such file or folder.")
    examples = LAYOUTS[_choose_layout(path, layout)].read(path)
    if check or not examples:
        check_examples(examples, path)
    dataset = build_dataset(map(without_missing_images, examples) if require_images is False else examples)
    if require_images:
        check_images(dataset)
    return dataset


def _choose_layout(path: Path, layout: str | None) -> str:
    if layout is not None:
        if layout not in LAYOUTS:
            raise CorpusError(f"{layout!r} is no corpus layout; use one of {', '.join(LAYOUTS)}.")
        return layout
    found = [name for name, known in LAYOUTS.items() if known.matches(path)]
    if path.is_file():
        found = found[:1]  # any table may be a manifest, which stands last: a layout that knows the file comes first
    if not found:
        raise CorpusError(f"{path}: no known corpus layout here; name one of {', '.join(LAYOUTS)} (--layout).")
    if len(found) > 1:
        raise CorpusError(f"{path}: this may be {' or '.join(found)}; say which with --layout.")
    return found[0]
