"""Corpora on disk as `datasets.Dataset`, one module per layout, all with the columns of `corpus_features`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset

from report_gen.corpora import dicom_folders, indiana, manifest, medpix, mimic, nih, openi, r2gen, saved_datasets
from report_gen.corpora.examples import SPLITS, Example, build_dataset, corpus_features, without_missing_images
from report_gen.corpora.validation import Check
from report_gen.errors import CorpusError
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingSchema

__all__ = ["LAYOUTS", "SPLITS", "Example", "Layout", "corpus_features", "read_corpus", "read_nih_labels"]


class Layout(NamedTuple):
    """How a corpus lies on disk."""

    matches: Callable[[Path], bool]
    """Whether it lies here. It looks at names and beginnings, and never raises for what it does not know."""
    read: Callable[[Path, Path | None, FindingSchema], Iterator[Example]]
    """Its studies one by one, from a path, with a store for images that are no files of their own, and labels of the
    findings of a schema."""
    last_resort: bool = False
    """Asked only where no other layout knows the place."""


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
    """The studies of a corpus, in memory or memory-mapped from a file in `store`; nothing is left in another cache.

    Args:
        path: A file or folder in one of `LAYOUTS`.
        layout: Its layout; found by looking when None.
        require_images: False leaves out the images that are not there instead of refusing the corpus; None keeps the
            names of all without looking.
        store: A folder for the table, and for images that the corpus holds embedded; the rows stream through it, so
            that memory stays flat however many there are. It must outlive the dataset, and holds the corpus's texts.
        check: False leaves texts, ids, splits and patients unchecked, for who reports or mends what is wrong.
        schema: The findings whose labels are read, in this order; those of chest radiographs if not given.

    Returns:
        One row per study with the columns of `FEATURES`.

    Raises:
        CorpusError: when the layout is unknown or ambiguous, the corpus cannot be read, is empty, tells a study twice,
            has a patient in two splits, or lacks an image.
        OutputError: when the store cannot be written.
    """
    path = Path(path)
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where it may not look
        raise CorpusError(f"{path}: no such file or folder.")
    name, schema = _choose_layout(path, layout), schema or chest_xray()
    examples = LAYOUTS[name].read(path, store, schema)
    if require_images is False:
        examples = map(without_missing_images, examples)
    checking = Check(path, require_images=bool(require_images), thorough=check)
    file = None if store is None else store / _file_name(path, name)
    try:
        dataset = build_dataset(checking.watch(examples), file, schema=schema)
    except UnicodeEncodeError as error:
        raise CorpusError(f"{path}: a text holds half a character (a lone surrogate); save it as UTF-8.") from error
    try:
        checking.conclude(dataset)
    except CorpusError:
        if file is not None:
            file.unlink()
        raise
    return dataset


def read_nih_labels(path: Path, *, layout: str | None = None) -> dict[str, frozenset[str]] | None:
    """ChestX-ray14's own labels by study, of `NIH_LABELS`; None where the corpus lies in another layout.

    Raises:
        CorpusError: as `read_corpus`.
    """
    return nih.read_labels(path) if _choose_layout(path, layout) == "nih" else None


def _file_name(path: Path, layout: str) -> str:
    """One file per corpus, so that reading it again takes the older one's place."""
    return f"{layout}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.arrow"


def _choose_layout(path: Path, layout: str | None) -> str:
    if layout is not None:
        if layout not in LAYOUTS:
            raise CorpusError(f"{layout!r} is no corpus layout; use one of {', '.join(LAYOUTS)}.")
        return layout
    found = _find(path, last_resort=False) or _find(path, last_resort=True)
    if path.is_file():
        found = found[:1]  # any table may be a manifest, which stands last: a layout that knows the file comes first
    if not found:
        raise CorpusError(f"{path}: no known corpus layout here; name one of {', '.join(LAYOUTS)} (--layout).")
    if len(found) > 1:
        raise CorpusError(f"{path}: this may be {' or '.join(found)}; say which with --layout.")
    return found[0]


def _find(path: Path, *, last_resort: bool) -> list[str]:
    return [name for name, known in LAYOUTS.items() if known.last_resort is last_resort and known.matches(path)]
