"""Cache decoded images, in 8 bits at training size, in a folder that several runs may share.

A square is identified by the SHA-256 of its file, so a moved image is not decoded again. A file whose path, size and
modification time are known is not read again. The folder contains images of patients.
"""

from __future__ import annotations

import hashlib
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

from ..run import OnProgress
from .box_geometry import SquareGeometry
from .image_decoding import (
    VERSION,
    DecodedImage,
    FileStamp,
    UnreadableImage,
    decode,
    file_stamp,
    payload_bytes,
    unpack_square,
)
from .process_pool import available_cores, map_in_processes
from .shards import SCHEMA, Place, Shards, read_tables, remove_remains, shard_rows, write_shard, write_table

_FILES = pa.schema([("path", pa.string()), ("size", pa.int64()), ("modified", pa.int64()), ("sha256", pa.string())])
_MAX_FILES = 10_000
"""Files recorded in one table."""
_TRIAL_SECONDS = 2.0
"""Seconds of decoding in this process, to estimate the time of the rest."""
_MIN_PARALLEL_SECONDS = 20.0
"""Estimated seconds of work from which starting processes pays off."""


class ImageCache:
    """Decoded images by path."""

    def __init__(self, shards: Shards, places: Mapping[str, Place], shape: tuple[int, ...]) -> None:
        self._shards, self._places, self._shape = shards, places, shape

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Return the image [size,size], or [C,size,size] if each channel is a window, read-only.

        Raises:
            OutputError: The cache was removed or damaged during the run.
        """
        return self._unpack(path)[0]

    def geometry(self, path: Path) -> SquareGeometry:
        """Return where the image lies in its square.

        Raises:
            OutputError: See `read`.
        """
        return self._unpack(path)[1]

    def _unpack(self, path: Path) -> tuple[NDArray[np.uint8], SquareGeometry]:
        return unpack_square(self._shards.payload(self._places[str(path)]), self._shape)

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of the image file."""
        return self._shards.key(self._places[str(path)])


def cache_images(
    folder: Path, paths: Iterable[str], transform: ImageTransform, *, on_progress: OnProgress
) -> tuple[ImageCache, tuple[UnreadableImage, ...]]:
    """Decode the images that the folder lacks, on all cores.

    Args:
        folder: Folder of the cache; several runs may share it.
        paths: Image files.
        transform: Fits an image into the square of the encoder.
        on_progress: Called while the images are decoded.

    Returns:
        The cache, and the images that cannot be read.

    Raises:
        OutputError: The folder cannot be written. Images decoded until then are kept.
        ReportGenError: A decoding process died.
    """
    wanted = list(dict.fromkeys(paths))
    files, squares = folder / "files", folder / _folder_name(transform)
    known, places = _known_files(files, wanted), Shards(squares).index()
    missing = [path for path in wanted if known.get(path) not in places]
    stored = partial(_stored_keys, squares, secrets.token_hex(8))
    work = partial(decode, transform=transform, stored=stored)
    writer, unreadable = _Writer(files, squares, shard_rows(payload_bytes(transform.square_shape))), []
    for done, result in enumerate(_map(work, missing), start=1):
        if isinstance(result, UnreadableImage):
            unreadable.append(result)
        else:
            known[result.path] = result.sha256
            writer.add(result)
        on_progress("images", done, len(missing))
    writer.flush()
    shards = Shards(squares)
    places = shards.index()
    skipped = {image.path for image in unreadable}
    found = {path: places[known[path]] for path in wanted if path not in skipped}
    return ImageCache(shards, found, transform.square_shape), tuple(unreadable)


def _folder_name(transform: ImageTransform) -> str:
    """Return the name of the folder for squares of this transform, which depends on its size, steps and channels."""
    name = f"images-{transform.size}-{VERSION}"
    settings = "".join([*(step.model_dump_json() for step in transform.steps), *map(repr, transform.windows)])
    if transform.volume_window is not None:
        settings += repr((transform.volume_window, transform.channels))
    return f"{name}-{hashlib.sha256(settings.encode()).hexdigest()[:16]}" if settings else name


def _map(
    work: Callable[[str], DecodedImage | UnreadableImage], paths: Sequence[str]
) -> Iterator[DecodedImage | UnreadableImage]:
    """Yield work(path) of every path in order: in this process if that is quick, else on all cores."""
    start, done = time.perf_counter(), 0
    while done < len(paths) and time.perf_counter() - start < _TRIAL_SECONDS:
        yield work(paths[done])
        done += 1
    rest = paths[done:]
    seconds = len(rest) * (time.perf_counter() - start) / max(done, 1)
    yield from map_in_processes(work, rest, available_cores() if seconds > _MIN_PARALLEL_SECONDS else 1)


class _Writer:
    """Write decoded images to shards, and after them the table of their files: a listed file is surely stored."""

    def __init__(self, files: Path, squares: Path, rows: int) -> None:
        self._files, self._squares, self._rows = files, squares, rows
        self._pending: dict[str, bytes] = {}
        self._decoded: list[DecodedImage] = []
        remove_remains(files, _FILES)
        remove_remains(squares, SCHEMA)

    def add(self, decoded: DecodedImage) -> None:
        self._decoded.append(decoded)
        if decoded.payload is not None:
            self._pending[decoded.sha256] = decoded.payload
        if len(self._pending) >= self._rows or len(self._decoded) >= _MAX_FILES:
            self.flush()

    def flush(self) -> None:
        if self._pending:
            write_shard(self._squares, self._pending)
        if self._decoded:
            columns: dict[str, list[Any]] = {
                "path": [one.path for one in self._decoded],
                "size": [one.stamp.size for one in self._decoded],
                "modified": [one.stamp.modified for one in self._decoded],
                "sha256": [one.sha256 for one in self._decoded],
            }
            write_table(self._files, _FILES, columns)
        self._pending, self._decoded = {}, []


def _known_files(folder: Path, wanted: Sequence[str]) -> dict[str, str]:
    """Return path -> SHA-256 of unchanged files. A deleted file is included if only one content of it is recorded."""
    paths = set(wanted)
    recorded: dict[str, dict[FileStamp, str]] = {}
    for row in read_tables(folder, _FILES):
        if row["path"] in paths:
            recorded.setdefault(row["path"], {})[FileStamp(row["size"], row["modified"])] = row["sha256"]
    known = {}
    for path, digests in recorded.items():
        try:
            digest = digests.get(file_stamp(path))
        except OSError:
            (digest, *others) = set(digests.values())
            digest = None if others else digest
        if digest is not None:
            known[path] = digest
    return known


@lru_cache(maxsize=1)
def _stored_keys(squares: Path, _run: str) -> frozenset[str]:
    """Return the keys of the shards, read once per process and run of `cache_images`."""
    return frozenset(Shards(squares).index())
