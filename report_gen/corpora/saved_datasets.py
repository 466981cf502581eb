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
from report_gen.corpora.text_files import read_text
from report_gen.errors import CorpusError
from report_gen.strict_json import parse_json

FILES = ("dataset_dict.json", "dataset_info.json")
_STATE = "state.json"

_BATCH_ROWS = 100


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return (path / FILES[0]).is_file() or ((path / FILES[1]).is_file() and (path / _STATE).is_file())


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
        for folder in _dataset_folders(path):
            _check_data_files(folder)
        loaded = load_from_disk(str(path), keep_in_memory=False)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: not a complete folder of save_to_disk of `datasets`; save it again") from error
    return loaded if isinstance(loaded, DatasetDict) else {"": loaded}


def _dataset_folders(path: Path) -> Sequence[Path]:
    """Return the folder of each split of a saved DatasetDict, or the only folder."""
    if not (path / FILES[0]).is_file():
        return [path]
    names = parse_json(read_text(path / FILES[0]))["splits"]
    if not names or not all(Path(name).name == name for name in names):
        raise CorpusError(f"{path / FILES[0]}: names no splits, or a folder elsewhere; save the dataset again")
    return [path / name for name in names]


def _check_data_files(folder: Path) -> None:
    """Check that a dataset names data files in its folder, because `datasets` would wait for the content of a pipe."""
    parse_json(read_text(folder / FILES[1]))
    state = folder / _STATE
    names = [entry["filename"] for entry in parse_json(read_text(state))["_data_files"]]
    if not names or not all(Path(name).name == name for name in names):
        raise CorpusError(f"{state}: names no data files, or files in another folder; save the dataset again")
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise CorpusError(
            f"{folder / absent[0]}: the data file of a dataset is missing or not a regular file; copy the folder again"
        )


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
