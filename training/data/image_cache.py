"""Images decoded once, to 8 bits at training size, in a folder that runs may share.

A square is found by the SHA-256 of the file it was made from, so an image that moved is not decoded again; and a file
whose path, size and time of change are known is not even read again. The folder holds patient images.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from report_gen.imaging.transform import ImageTransform

from ..run.reporting import OnProgress
from .image_decoding import VERSION, Decoded, Fault, Stamp, decode, stamp
from .process_pool import cores, map_in_processes
from .shards import Place, Shards, read_tables, shard_rows, sweep, write_shard, write_table

_FILES = pa.schema([("path", pa.string()), ("size", pa.int64()), ("modified", pa.int64()), ("sha256", pa.string())])
_MOST_FILES = 10_000
"""Files that are noted together."""
_TRIAL = 2.0
"""Seconds of decoding here, which tell how long the rest would take."""
_WORTH = 20.0
"""Seconds of work that are worth the start of processes."""


class ImageCache:
    """Squares by the path of the image they were made from."""

    def __init__(self, shards: Shards, places: Mapping[str, Place], size: int) -> None:
        self._shards, self._places, self._size = shards, places, size

    def read(self, path: Path) -> NDArray[np.uint8]:
        """[size,size], read-only.

        Raises:
            OutputError: the cache was removed or damaged meanwhile.
        """
        return self._shards.payload(self._places[str(path)]).reshape(self._size, self._size)

    def sha256(self, path: Path) -> str:
        """Of the image's file."""
        return self._shards.key(self._places[str(path)])


def cache_images(
    folder: Path, paths: Iterable[str], transform: ImageTransform, *, on_progress: OnProgress
) -> tuple[ImageCache, tuple[Fault, ...]]:
    """Decode the images that the folder lacks, on all cores; gives the cache and the images that cannot be read.

    Raises:
        OutputError: the folder cannot be written. What was decoded until then is kept.
        ReportGenError: a process that decodes died.
    """
    wanted = list(dict.fromkeys(paths))
    files, squares = folder / "files", folder / f"images-{transform.size}-{VERSION}"
    contents, places = _recall(files, wanted), Shards(squares).index()
    missing = [path for path in wanted if contents.get(path) not in places]
    kept = partial(_kept, squares, secrets.token_hex(8))
    work = partial(decode, transform=transform, kept=kept)
    writer, faults = _Writer(files, squares, shard_rows(transform.size**2)), []
    for done, result in enumerate(_shared_out(work, missing), start=1):
        if isinstance(result, Fault):
            faults.append(result)
        else:
            contents[result.path] = result.sha256
            writer.add(result)
        on_progress("images", done, len(missing))
    writer.flush()
    shards = Shards(squares)
    places = shards.index()
    unread = {fault.path for fault in faults}
    found = {path: places[contents[path]] for path in wanted if path not in unread}
    return ImageCache(shards, found, transform.size), tuple(faults)


def _shared_out(work: Callable[[str], Decoded | Fault], paths: Sequence[str]) -> Iterator[Decoded | Fault]:
    """work(path) of every path, in order: here as long as it is little, else on all cores."""
    start, done = time.perf_counter(), 0
    while done < len(paths) and time.perf_counter() - start < _TRIAL:
        yield work(paths[done])
        done += 1
    rest = paths[done:]
    seconds = len(rest) * (time.perf_counter() - start) / max(done, 1)
    yield from map_in_processes(work, rest, cores() if seconds > _WORTH else 1)


class _Writer:
    """Squares on their way into shards, and then the files they were made from: a file is known by what is kept."""

    def __init__(self, files: Path, squares: Path, rows: int) -> None:
        self._files, self._squares, self._rows = files, squares, rows
        self._waiting: dict[str, bytes] = {}
        self._seen: list[Decoded] = []
        for folder in (files, squares):
            sweep(folder)

    def add(self, decoded: Decoded) -> None:
        self._seen.append(decoded)
        if decoded.square is not None:
            self._waiting[decoded.sha256] = decoded.square
        if len(self._waiting) >= self._rows or len(self._seen) >= _MOST_FILES:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            write_shard(self._squares, self._waiting)
        if self._seen:
            columns: dict[str, list[Any]] = {
                "path": [one.path for one in self._seen],
                "size": [one.stamp.size for one in self._seen],
                "modified": [one.stamp.modified for one in self._seen],
                "sha256": [one.sha256 for one in self._seen],
            }
            write_table(self._files, _FILES, columns)
        self._waiting, self._seen = {}, []


def _recall(folder: Path, wanted: Sequence[str]) -> dict[str, str]:
    """SHA-256 by path of files that are as they were; one that is gone is known too, if it was always the same."""
    asked = set(wanted)
    noted: dict[str, dict[Stamp, str]] = {}
    for row in read_tables(folder):
        if row["path"] in asked:
            noted.setdefault(row["path"], {})[Stamp(row["size"], row["modified"])] = row["sha256"]
    contents = {}
    for path, known in noted.items():
        try:
            digest = known.get(stamp(path))
        except OSError:
            (digest, *others) = set(known.values())
            digest = None if others else digest
        if digest is not None:
            contents[path] = digest
    return contents


@lru_cache(maxsize=1)
def _kept(squares: Path, _build: str) -> frozenset[str]:
    """Keys of the shards as they were when this process first asked in a build."""
    return frozenset(Shards(squares).index())
