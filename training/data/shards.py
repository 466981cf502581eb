"""Bytes by key, on disk, in files that are written once and whole: several runs may add to one folder at a time."""

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

_SCHEMA = pa.schema([("key", pa.string()), ("payload", pa.large_binary())])
SUFFIX = ".arrow"
_LARGEST = 64 * 2**20
"""Bytes of a shard, which is what a killed run loses at most."""
_MOST = 1024
"""Payloads of a shard."""
_OPEN = 64
"""Shards that are mapped at a time; a system may allow no more than 256 open files."""
_ABANDONED = 24 * 3600
"""Seconds after which a half-written file belongs to no run any more."""

Place = tuple[int, int]
"""Number of the shard, and row in it."""


def shard_rows(payload: int) -> int:
    """Payloads of so many bytes that make a shard."""
    return max(1, min(_MOST, _LARGEST // payload))


class Shards:
    """The shards of a folder, as they are when this is made."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob(f"*{SUFFIX}"))

    def index(self) -> dict[str, Place]:
        """Key -> place. A damaged shard is passed over, as if what it holds had never been written."""
        places: dict[str, Place] = {}
        for number, path in enumerate(self._paths):
            for row, key in enumerate(_keys(path)):
                places.setdefault(key, (number, row))
        return places

    def key(self, place: Place) -> str:
        return str(self._column(place, "key")[place[1]].as_py())

    def payload(self, place: Place) -> NDArray[np.uint8]:
        """The bytes at a place, read-only and not copied.

        Raises:
            OutputError: the shard is gone, or damaged by now.
        """
        return np.frombuffer(self._column(place, "payload")[place[1]].as_buffer(), dtype=np.uint8)

    def _column(self, place: Place, name: str) -> pa.Array:
        path = self._paths[place[0]]
        try:
            return _open(path).column(name)
        except (OSError, pa.ArrowInvalid) as error:
            raise OutputError(f"{path}: the cache cannot be read; leave it in place while a run needs it") from error


def write_shard(folder: Path, payloads: Mapping[str, bytes]) -> None:
    """Add payloads by key.

    Raises:
        OutputError: naming the file and the remedy; what was there is untouched.
    """
    write_table(folder, _SCHEMA, {"key": list(payloads), "payload": list(payloads.values())})


def write_table(folder: Path, schema: pa.Schema, columns: Mapping[str, list[Any]]) -> None:
    """A file of one block under a name of its own, whole or not at all.

    Raises:
        OutputError: naming the file and the remedy.
    """
    buffer = io.BytesIO()
    with pa.ipc.new_file(buffer, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pydict(dict(columns), schema=schema))
    write_atomically(folder / f"{secrets.token_hex(8)}{SUFFIX}", buffer.getvalue())


def sweep(folder: Path) -> None:
    """Remove what killed runs left half-written long ago."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):  # another run has just finished it, or swept it away, or forbids it
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def read_tables(folder: Path) -> Iterator[Row]:
    """The rows of all files of `write_table` in a folder; damaged files are passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            rows = _open(path).to_pylist()
        except (OSError, pa.ArrowInvalid):
            continue
        yield from rows


def _keys(path: Path) -> list[str]:
    try:
        keys: list[str] = _open(path).column("key").to_pylist()
    except (OSError, pa.ArrowInvalid):
        return []
    return keys


@lru_cache(maxsize=_OPEN)
def _open(path: Path) -> pa.RecordBatch:
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
