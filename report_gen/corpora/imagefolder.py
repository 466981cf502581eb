"""Layout `imagefolder` of Hugging Face `datasets`: metadata.jsonl or metadata.csv beside the images that it names.

The file is in the folder itself, or there is one in each folder of a split (train, validation, test). Its column
`file_name` is relative to its own folder; the other columns are those of the layout `manifest`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from report_gen.corpora.row_tables import RowTable, file_table
from report_gen.corpora.table_folders import split_of_name
from report_gen.errors import CorpusError

FILES = ("metadata.jsonl", "metadata.csv")


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return bool(_files(path))


def tables(path: Path) -> Sequence[RowTable]:
    """Return the table of each split, or the only table.

    Raises:
        CorpusError: There is no table.
    """
    files = _files(path)
    if not files:
        raise CorpusError(f"{path}: no {' or '.join(FILES)} in the folder or in its train, val or test folder; add one")
    return tuple(
        file_table(
            file,
            split=split_of_name(file.parent.name) if file.parent != path else "",
            prefix=f"{file.parent.name}/" if file.parent not in (path, path.parent) else "",
        )
        for file in files
    )


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.name in FILES else []
    folders = [path, *sorted(folder for folder in path.iterdir() if split_of_name(folder.name))]
    return [folder / name for folder in folders for name in FILES if (folder / name).is_file()]
