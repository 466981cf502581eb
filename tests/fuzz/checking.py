"""Decide whether a reader kept its promise on one example.

The promise: the input is read, or it is refused with a `ReportGenError` whose message names the file; within the limits
of time and memory, and without any other exception.
"""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from report_gen.errors import ReportGenError
from tests.fuzz.example import Target

MAX_CPU_SECONDS = 10.0
"""Limit of one example. Processor time, because another process may delay an example for any time."""
MAX_MEMORY = 2**30
"""Limit on the memory that one example adds, bytes. An image of the largest allowed size takes most of it."""

_PROC = Path("/proc/self")


@dataclass(frozen=True)
class Outcome:
    """What a reader did with an example."""

    kind: Literal["read", "refused", "fault"]
    reason: str = ""
    """The message of the refusal, or the fault with its traceback."""
    key: str = ""
    """Equal for faults of one cause."""
    cpu: float = 0.0
    """Processor time, seconds."""
    memory: int = 0
    """Largest memory added, bytes; 0 where the system does not tell."""


def check(target: Target, path: Path) -> Outcome:
    """Read the mutated file of an example and compare what happens with the promise."""
    before, start = _reset_peak(), time.process_time()
    kind, reason, key = _read(target, path)
    cpu, memory = time.process_time() - start, _peak() - before
    if kind != "fault" and cpu > MAX_CPU_SECONDS:
        kind, reason, key = "fault", f"took {cpu:.0f} s, then: {reason or 'read'}", f"slow {reason[-60:]}"
    if kind != "fault" and memory > MAX_MEMORY:
        kind, reason, key = (
            "fault",
            f"took {memory / 2**20:.0f} MiB, then: {reason or 'read'}",
            f"memory {reason[-60:]}",
        )
    return Outcome(kind, reason, key, cpu, memory)


def _read(target: Target, path: Path) -> tuple[Literal["read", "refused", "fault"], str, str]:
    try:
        target.read(path)
    except ReportGenError as error:
        message = str(error)
        if path.name in message or str(path.parent) in message:
            return "refused", message, ""
        return (
            "fault",
            f"the message does not name the file: {message}",
            f"nameless {type(error).__name__} {message[:40]}",
        )
    except BaseException as error:  # noqa: BLE001 - any other exception is what is looked for, panics of Rust included
        return "fault", traceback.format_exc(limit=-12), _cause(error)
    return "read", "", ""


def _cause(error: BaseException) -> str:
    """Return the type of an exception and the last lines of report-gen and of any library that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "report_gen" in frame.filename or "/training/" in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.name}" for frame in (*ours[-1:], *frames[-1:])]
    return " ".join([type(error).__name__, *places])


def _reset_peak() -> int:
    """Reset the peak of the resident memory (Linux). Return the present one, bytes."""
    if sys.platform == "linux":
        (_PROC / "clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    if sys.platform != "linux":
        return 0
    status = (_PROC / "status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
