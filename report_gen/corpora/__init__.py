"""Read corpora into a `datasets.Dataset` with the columns of `corpus_features`. One module per layout."""

from __future__ import annotations

import os
from pathlib import Path

from datasets import Dataset

from report_gen.corpora import nih
from report_gen.corpora.columns import USUAL_NAMES, ColumnMapping, ColumnUse, list_names
from report_gen.corpora.examples import (
    IMAGE_COLUMNS,
    ORDER_COLUMNS,
    SPLITS,
    SYNTHETIC,
    Example,
    build_dataset,
    corpus_features,
    is_file,
    is_of_source,
    is_synthetic,
    offsets_of_row,
    own_and_prior_images,
    without_missing_images,
)
from report_gen.corpora.finding_boxes import FindingBox, boxes_of_kept_images, location_of_boxes
from report_gen.corpora.image_paths import IMAGES
from report_gen.corpora.layouts import LAYOUTS, Layout, choose_layout
from report_gen.corpora.permissions import readable_corpus
from report_gen.corpora.row_tables import describe_columns
from report_gen.corpora.tables import read_csv
from report_gen.corpora.validation import CorpusValidator
from report_gen.errors import CorpusError, ResourceError
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema

__all__ = [
    "IMAGES",
    "IMAGE_COLUMNS",
    "LAYOUTS",
    "ORDER_COLUMNS",
    "SPLITS",
    "SYNTHETIC",
    "USUAL_NAMES",
    "ColumnMapping",
    "ColumnUse",
    "Example",
    "FindingBox",
    "Layout",
    "boxes_of_kept_images",
    "corpus_features",
    "is_file",
    "is_of_source",
    "is_synthetic",
    "list_names",
    "location_of_boxes",
    "offsets_of_row",
    "own_and_prior_images",
    "read_columns",
    "read_corpus",
    "read_csv",
    "read_nih_labels",
]


def read_corpus(
    path: str | os.PathLike[str],
    *,
    layout: str | None = None,
    require_images: bool | None = True,
    store: Path | None = None,
    check: bool = True,
    schema: FindingSchema | None = None,
    columns: ColumnMapping | None = None,
) -> Dataset:
    """Read a corpus into a dataset, in memory or memory-mapped from a file in `store`.

    Args:
        path: File or folder in one of `LAYOUTS`.
        layout: Name of the layout. Default: auto-detect.
        require_images: False omits missing images instead of refusing the corpus; None keeps their names unchecked.
        store: Folder for images that are embedded in the corpus, and for a file without a name that holds the table.
            Rows are streamed through it, so that the memory does not grow with the corpus. Default: the table is in
            memory.
        check: False skips the checks of texts, ids, splits and patients, so that a faulty corpus can be repaired.
        schema: The findings whose labels are read, in this order. Default: those of chest radiographs.
        columns: Column of the user's table by field, such as {"image": "filename", "report": "text"}. Default: columns
            with usual names (`USUAL_NAMES`).

    Returns:
        One row per study with the columns of `corpus_features`.

    Raises:
        CorpusError: The layout cannot be detected or is ambiguous, or the corpus cannot be read, is empty, contains a
            study twice or a patient in two splits, lacks an image, has neither reports nor labels, or has no column
            that `columns` names.
        UsageError: `columns` names an unknown field, or there is no such layout.
        OutputError: The store cannot be written.
        ResourceError: The memory does not suffice.
    """
    with readable_corpus(path := Path(path)):
        name, schema = choose_layout(path, layout, columns), schema or chest_xray()
        examples = LAYOUTS[name].read(path, store, schema, columns)
        if require_images is False:
            examples = map(without_missing_images, examples)
        # A table may have reports under a name that is not recognized; other layouts define where they are.
        described = LAYOUTS[name].tables is None
        validator = CorpusValidator(path, require_images=bool(require_images), thorough=check, described=described)
        try:
            dataset = build_dataset(validator.count_faults(examples), store, schema=schema)
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"{path}: a text contains a lone surrogate (half a character); save the file as UTF-8"
            ) from error
        except MemoryError as error:
            raise ResourceError(
                f"{path}: not enough memory to read the corpus; free memory or split the corpus"
            ) from error
        validator.raise_for_faults(dataset)
        return dataset


def read_columns(
    path: Path,
    *,
    layout: str | None = None,
    schema: FindingSchema | None = None,
    columns: ColumnMapping | None = None,
) -> ColumnUse | None:
    """Return how the columns of a corpus are used; None if its layout has fixed columns.

    Raises:
        CorpusError, UsageError: See `read_corpus`.
    """
    with readable_corpus(path):
        tables = LAYOUTS[choose_layout(path, layout, columns)].tables
        return None if tables is None else describe_columns(tables(path), schema or chest_xray(), columns)


def read_nih_labels(path: Path, *, layout: str | None = None) -> dict[str, frozenset[str]] | None:
    """Return the labels of ChestX-ray14 by study, names of `NIH_LABELS`; None if the corpus has another layout.

    Raises:
        CorpusError: See `read_corpus`.
    """
    with readable_corpus(path):
        return nih.read_labels(path) if choose_layout(path, layout) == "nih" else None
