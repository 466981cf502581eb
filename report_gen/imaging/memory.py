"""Limit the memory for reading one image, and report exhausted memory as exhausted memory, not as a broken file.

The header of an image gives the memory that reading it needs, so an image that is too large is refused before its
pixels are decoded. Within `limit_memory` the limit is the same for all images, so that no study is refused because of
the other studies of a run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import psutil
from pydantic import ByteSize

from report_gen.errors import StudyError, is_out_of_memory

_USABLE_SHARE = 0.5
"""Share of the available memory that one image may take. The rest is for the model and for other programs."""

_LIMIT: ContextVar[int | None] = ContextVar("memory of one image, bytes", default=None)

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_FILES = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Folder, limit, use and reclaimable use of control groups, by controller: version 2 has no name, version 1 has one."""


@contextmanager
def limit_memory(limit: int | None = None) -> Iterator[None]:
    """Refuse each image that needs more memory than `limit` while it is read within the block.

    The limit belongs to the running thread, like `numpy.errstate`. Outside of such a block the memory that is available
    when an image is read decides.

    Args:
        limit: Bytes; by default half of the memory that is available now, see `available_memory`.
    """
    token = _LIMIT.set(_usable_memory() if limit is None else limit)
    try:
        yield
    finally:
        _LIMIT.reset(token)


@contextmanager
def image_memory(path: Path, rows: int, columns: int, need: int) -> Iterator[None]:
    """Refuse an image that needs too much memory, and report memory that is exhausted within the block.

    Args:
        path: The file, named in errors.
        rows: Rows of the image.
        columns: Columns of the image.
        need: Bytes that the pixels and the copies of them need at most.

    Raises:
        StudyError: The need exceeds the limit, or this memory cannot be allocated.
    """
    problem = f"not enough memory: {rows} x {columns} pixels need {format_bytes(need)}"
    limit = memory_limit()
    if need > limit:
        remedy = "free memory or raise the argument of limit_memory"
        reason = f"{problem}, and one image may take {format_bytes(limit)}; {remedy}"
        raise StudyError(path, reason)
    with memory_errors(path, problem):
        np.empty(need, np.uint8)  # fails at once under `ulimit -v`; decoders would report a broken image
        yield


@contextmanager
def memory_errors(path: Path, problem: str = "not enough memory to read the file") -> Iterator[None]:
    """Convert exceptions that say that memory is exhausted into a StudyError.

    Args:
        path: The file, named in errors.
        problem: What the memory does not suffice for.
    """
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise StudyError(path, f"{problem}; free memory, or use a computer with more") from error


def memory_limit() -> int:
    """Return the memory that one image may take now, bytes."""
    limit = _LIMIT.get()
    return _usable_memory() if limit is None else limit


def available_memory() -> int:
    """Return the memory that this process can still take, bytes.

    It is the least of the free memory of the computer, of the control groups of the process (containers, systemd), and
    of its own limit on the address space (`ulimit -v`).
    """
    rooms: list[int] = [psutil.virtual_memory().available, *_cgroup_rooms()]
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            rooms.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(rooms))


def format_bytes(size: int) -> str:
    """Return a number of bytes for a message, such as "1.1 GB"."""
    return ByteSize(size).human_readable(decimal=True, separator=" ")


def _usable_memory() -> int:
    return int(_USABLE_SHARE * available_memory())


def _cgroup_rooms() -> Iterator[int]:
    """Yield the room in each control group of this process that has a limit, up to the root."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            for name in {"", "memory"} & set(controllers.split(",")):
                base, *files = _CGROUP_FILES[name]
                folder = _CGROUPS / base / group.strip("/")
                for parent in (folder, *folder.parents):
                    if parent.is_relative_to(_CGROUPS / base):
                        yield from _cgroup_room(parent, *files)


def _cgroup_room(folder: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    """Yield the room in a control group if it has a limit. File caches count as used there, but give way."""
    with suppress(OSError, ValueError, KeyError):  # ValueError: the limit is `max`
        maximum, current = (int((folder / name).read_text(encoding="utf-8")) for name in (limit, used))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
        yield maximum - current + int(statistics[reclaimable])
