"""Layout `hf`: a folder written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`, with columns of a manifest.

Images are paths relative to the folder, or embedded. Embedded images are written to the store under their SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, load_from_disk

from report_gen.corpora.examples import split_name
from report_gen.corpora.row_tables import RowTable
from report_gen.errors import CorpusError

FILES = ("dataset_dict.json", "dataset_info.json")

_BATCH_ROWS = 100


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return (path / FILES[0]).is_file() or ((path / FILES[1]).is_file() and (path / "state.json").is_file())


def tables(path: Path) -> Sequence[RowTable]:
    """Return the table of each split of a saved DatasetDict, or the only table.

    Raises:
        CorpusError: The folder has another format.
    """
    return tuple(
        RowTable(
            source=path / name,
            folder=path.resolve(),
            rows=partial(_rows, path / name, dataset),
            names=partial(list, dataset.column_names),
            split=split_name(name),
        )
        for name, dataset in _load(path).items()
    )


def _load(path: Path) -> Mapping[str, Dataset]:
    """Return the datasets by split; a dataset without splits has the name ""."""
    try:
        loaded = load_from_disk(str(path), keep_in_memory=False)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: not a complete folder of save_to_disk of `datasets`; save it again") from error
    return loaded if isinstance(loaded, DatasetDict) else {"": loaded}


def _rows(path: Path, dataset: Dataset, columns: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """Yield rows with undecoded images.

    Raises:
        CorpusError: The files of the dataset were damaged or manipulated.
    """
    kept = [name for name in dataset.column_names if columns is None or name in columns]
    if not kept:
        yield from ({} for _ in range(len(dataset)))
        return
    selected = dataset.select_columns(kept)
    for table in selected.with_format("arrow").iter(batch_size=_BATCH_ROWS):
        try:
            table.validate(full=True)  # otherwise an offset in the file could point to any address of this process
        except pa.ArrowInvalid as error:
            raise CorpusError(f"{path}: the data are damaged ({error}); save the dataset again") from error
        yield from table.to_pylist()
