"""Read corpora into a `datasets.Dataset` with the columns of `corpus_features`. One module per layout."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from report_gen.corpora import dicom_folders, indiana, manifest, medpix, mimic, nih, openi, r2gen, saved_datasets
from report_gen.corpora.examples import SPLITS, Example, build_dataset, corpus_features, without_missing_images
from report_gen.corpora.validation import CorpusValidator
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema

__all__ = ["LAYOUTS", "SPLITS", "Example", "Layout", "corpus_features", "read_corpus", "read_nih_labels"]


class Layout(NamedTuple):
    """A file layout of corpora."""

    matches: Callable[[Path], bool]
    """Returns whether a path has this layout, from names and first bytes; never raises for an unknown file."""
    read: Callable[[Path, Path | None, FindingSchema], Iterator[Example]]
    """Yields the studies at a path. Images that are not files are written to the store; labels follow the schema."""
    last_resort: bool = False
    """The layout is considered only if no other matches."""


_Read = Callable[[Path, Path | None, FindingSchema], Iterator[Example]]


def _plain(read: Callable[[Path], Iterator[Example]]) -> _Read:
    return lambda path, _store, _schema: read(path)


def _labeled(read: Callable[[Path, FindingSchema], Iterator[Example]]) -> _Read:
    return lambda path, _store, schema: read(path, schema)


LAYOUTS: Mapping[str, Layout] = {
    "r2gen": Layout(r2gen.matches, _plain(r2gen.read)),
    "indiana": Layout(indiana.matches, _plain(indiana.read)),
    "openi": Layout(openi.matches, _plain(openi.read)),
    "mimic-cxr": Layout(mimic.matches_dicom, _labeled(mimic.read_dicom)),
    "mimic-cxr-jpg": Layout(mimic.matches_jpeg, _labeled(mimic.read_jpeg)),
    "nih": Layout(nih.matches, _labeled(nih.read)),
    "medpix": Layout(medpix.matches, _plain(medpix.read_images)),
    "medpix-cases": Layout(medpix.never_matches, _plain(medpix.read_cases)),
    "hf": Layout(saved_datasets.matches, saved_datasets.read),
    "manifest": Layout(manifest.matches, _labeled(manifest.read)),
    "dicom": Layout(dicom_folders.matches, _plain(dicom_folders.read), last_resort=True),
}


def read_corpus(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    require_images: bool | None = True,
    store: Path | None = None,
    check: bool = True,
    schema: FindingSchema | None = None,
) -> Dataset:
    """Read a corpus into a dataset, in memory or memory-mapped from a file in `store`.

    Args:
        path: File or folder in one of `LAYOUTS`.
        layout: Name of the layout. Default: auto-detect.
        require_images: False omits missing images instead of refusing the corpus; None keeps their names unchecked.
        store: Folder for the table and for images that are embedded in the corpus. Rows are streamed through it, so
            that the memory does not grow with the corpus. The store contains the texts of the corpus, and it must exist
            as long as the dataset. Default: the table is in memory.
        check: False skips the checks of texts, ids, splits and patients, so that a faulty corpus can be repaired.
        schema: The findings whose labels are read, in this order. Default: those of chest radiographs.

    Returns:
        One row per study with the columns of `corpus_features`.

    Raises:
        CorpusError: The layout is unknown or ambiguous, or the corpus cannot be read, is empty, contains a study twice
            or a patient in two splits, or lacks an image.
        OutputError: The store cannot be written.
    """
    path = Path(path)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises if a parent folder may not be entered
        raise CorpusError(f"{path}: no such file or folder; check the path")
    name, schema = _choose_layout(path, layout), schema or chest_xray()
    examples = LAYOUTS[name].read(path, store, schema)
    if require_images is False:
        examples = map(without_missing_images, examples)
    validator = CorpusValidator(path, require_images=bool(require_images), thorough=check)
    file = None if store is None else store / _file_name(path, name)
    try:
        dataset = build_dataset(validator.count_faults(examples), file, schema=schema)
    except UnicodeEncodeError as error:
        raise CorpusError(
            f"{path}: a text contains a lone surrogate (half a character); save the file as UTF-8"
        ) from error
    try:
        validator.raise_for_faults(dataset)
    except CorpusError:
        if file is not None:
            file.unlink()
        raise
    return dataset


def read_nih_labels(path: Path, *, layout: str | None = None) -> dict[str, frozenset[str]] | None:
    """Return the labels of ChestX-ray14 by study, names of `NIH_LABELS`; None if the corpus has another layout.

    Raises:
        CorpusError: See `read_corpus`.
    """
    return nih.read_labels(path) if _choose_layout(path, layout) == "nih" else None


def _file_name(path: Path, layout: str) -> str:
    """Return a name that depends on the corpus only, so that reading it again replaces the older file."""
    return f"{layout}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.arrow"


def _choose_layout(path: Path, layout: str | None) -> str:
    if layout is not None:
        if layout not in LAYOUTS:
            raise CorpusError(f"unknown corpus layout {layout!r}; choose from {', '.join(LAYOUTS)}")
        return layout
    found = _find(path, last_resort=False) or _find(path, last_resort=True)
    if path.is_file():
        found = found[:1]  # any table may be a manifest, so the more specific layouts come first
    if not found:
        raise CorpusError(f"{path}: no known corpus layout; choose from {', '.join(LAYOUTS)} (--layout)")
    if len(found) > 1:
        raise CorpusError(f"{path}: the layout may be {' or '.join(found)}; choose with --layout")
    return found[0]


def _find(path: Path, *, last_resort: bool) -> list[str]:
    return [name for name, known in LAYOUTS.items() if known.last_resort is last_resort and known.matches(path)]
