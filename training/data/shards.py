"""Store bytes by key in files that are written once and completely, so that several runs may add to one folder."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from report_gen.errors import OutputError
from report_gen.files import write_atomically

from .arrow_rows import Row

SCHEMA = pa.schema([("key", pa.string()), ("payload", pa.large_binary())])
_FILES = "[0-9a-f]" * 16 + ".arrow"
"""Glob pattern of the names that `write_table` gives."""
_LARGEST = 64 * 2**20
"""Bytes per shard; a killed run loses at most one shard of work."""
_MOST = 1024
"""Payloads per shard."""
_OPEN = 64
"""Shards that are mapped at the same time; a system may allow only 256 open files."""
_ABANDONED = 24 * 3600
"""Age in seconds from which a temporary file counts as left by a killed run."""

Place = tuple[int, int]
"""Index of a shard, and row in it."""


def shard_rows(payload: int) -> int:
    """Return how many payloads of `payload` bytes make a shard."""
    return max(1, min(_MOST, _LARGEST // payload))


class Shards:
    """The shards of a folder at the time of construction."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob(_FILES))

    def index(self) -> dict[str, Place]:
        """Return key -> place. Damaged shards are skipped, as if their payloads had never been written."""
        places: dict[str, Place] = {}
        for number, path in enumerate(self._paths):
            for row, key in enumerate(_keys(path)):
                places.setdefault(key, (number, row))
        return places

    def key(self, place: Place) -> str:
        return str(self._column(place, "key")[place[1]].as_py())

    def payload(self, place: Place) -> NDArray[np.uint8]:
        """Return the bytes at a place as a read-only view.

        Raises:
            OutputError: The shard was removed or damaged.
        """
        return np.frombuffer(self._column(place, "payload")[place[1]].as_buffer(), dtype=np.uint8)

    def _column(self, place: Place, name: str) -> pa.Array:
        path = self._paths[place[0]]
        try:
            return _open(path, SCHEMA).column(name)
        except (OSError, pa.ArrowInvalid) as error:
            raise OutputError(f"{path}: the cache cannot be read; keep it in place while a run uses it") from error


def write_shard(folder: Path, payloads: Mapping[str, bytes]) -> None:
    """Add payloads by key as one shard.

    Raises:
        OutputError: The file cannot be written; the message names it and the remedy. Other shards are untouched.
    """
    write_table(folder, SCHEMA, {"key": list(payloads), "payload": list(payloads.values())})


def write_table(folder: Path, schema: pa.Schema, columns: Mapping[str, list[Any]]) -> None:
    """Write one record batch to a new file with a random name, completely or not at all.

    Raises:
        OutputError: The file cannot be written; the message names it and the remedy.
    """
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pydict(dict(columns), schema=schema))
    write_atomically(folder / f"{secrets.token_hex(8)}.arrow", buffer.getvalue())


def remove_remains(folder: Path, schema: pa.Schema) -> None:
    """Remove what killed runs left: temporary files of long ago, and damaged files, whose content is written anew.

    Files get their names when they are complete, so that a file which another run is writing never looks damaged.
    """
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):  # another run has finished or removed it, or it may not be removed
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
    for path in folder.glob(_FILES):
        with suppress(OSError):
            try:
                _open(path, schema)
            except pa.ArrowInvalid:
                path.unlink()


def read_tables(folder: Path, schema: pa.Schema) -> Iterator[Row]:
    """Yield the rows of all files of `write_table` in a folder; damaged files are skipped."""
    for path in sorted(folder.glob(_FILES)):
        try:
            rows = _open(path, schema).to_pylist()
        except (OSError, pa.ArrowInvalid):
            continue
        yield from rows


def _keys(path: Path) -> list[str]:
    try:
        keys: list[str] = _open(path, SCHEMA).column("key").to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []
    return keys


@lru_cache(maxsize=_OPEN)
def _open(path: Path, schema: pa.Schema) -> pa.RecordBatch:
    """Open the record batch of a file. Offsets beyond the end of a damaged file would be read as memory."""
    file = pa.ipc.open_file(pa.memory_map(str(path)))
    if not file.schema.equals(schema) or file.num_record_batches != 1:
        raise pa.ArrowInvalid("another table")
    batch = file.get_batch(0)
    batch.validate(full=True)
    return batch
