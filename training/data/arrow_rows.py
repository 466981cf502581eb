"""Table rows in an Arrow file that is memory-mapped and read one row at a time, so that memory use stays flat."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, overload

import pyarrow as pa

from report_gen.errors import OutputError

_BLOCK = 1000
"""Rows per record batch."""

Row = dict[str, Any]


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows to a file, holding one block of them in memory at a time, and flush the file to disk.

    Raises:
        OutputError: The file cannot be written; the message names it and the remedy.
    """
    waiting = iter(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                while block := list(islice(waiting, _BLOCK)):
                    writer.write_batch(pa.RecordBatch.from_pylist(block, schema=schema))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    reason = error.strerror or type(error).__name__
    return OutputError(f"{path}: cannot be written ({reason}); free the disk or choose another folder")


class Rows(Sequence[Row]):
    """The rows of a file written by `write_rows`.

    Raises:
        OSError, pyarrow.ArrowInvalid: The file is missing or incomplete.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        self._blocks = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._schema = reader.schema
        self._length: int = sum(block.num_rows for block in self._blocks)

    def __reduce__(self) -> tuple[type[Rows], tuple[Path]]:
        return Rows, (self._path,)  # pickling: another process maps the file again

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return {name: self.value(index, name) for name in self._schema.names}

    def __iter__(self) -> Iterator[Row]:
        for block in self._blocks:
            yield from block.to_pylist()

    def value(self, index: int, name: str) -> Any:
        """Return one column of one row."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._blocks[index // _BLOCK].column(name)[index % _BLOCK].as_py()

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column of all rows."""
        return pa.chunked_array([block.column(name) for block in self._blocks], self._schema.field(name).type)
