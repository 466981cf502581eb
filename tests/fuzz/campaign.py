"""Run targets in a worker process, watch it, and keep the faults."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fuzz.worker import FILES, RECORD

CHECKOUT = Path(__file__).parents[2]
WORKER = ("-m", "tests.fuzz.worker")
"""Arguments of Python that start the worker."""
MAX_SECONDS = 90.0
"""Time after which an example without answer counts as a hang, and the worker is killed."""
_START_SECONDS = 1800.0
"""Time that the worker has for its imports and the seeds, and libFuzzer for its start."""


@dataclass
class Tally:
    """What happened with the examples of one target."""

    examples: int = 0
    read: int = 0
    refused: int = 0
    faults: dict[str, Path] = field(default_factory=dict)
    """Folder of the first example by the cause of the fault."""
    cpu: float = 0.0
    """Slowest example, seconds of processor time."""
    memory: int = 0
    """Largest memory that an example added, bytes."""

    def count(self, outcome: dict[str, Any]) -> None:
        """Count the outcome of one example; a fault counts as an example only."""
        self.examples += 1
        self.read += outcome["kind"] == "read"
        self.refused += outcome["kind"] == "refused"
        self.cpu, self.memory = max(self.cpu, outcome["cpu"]), max(self.memory, outcome["memory"])


class Campaign:
    """Fuzzes targets one after another.

    Args:
        work: Folder for the example that is read.
        faults: Folder in which faults are kept, one folder each.
        engine: `mutation` or `atheris`.
    """

    def __init__(self, work: Path, faults: Path, *, engine: str = "mutation") -> None:
        self._work, self._faults, self._engine = work / "example", faults, engine
        self._log = work / "worker.log"
        self._worker: subprocess.Popen[bytes] | None = None
        self._pending = b""
        work.mkdir(parents=True, exist_ok=True)
        self.targets: tuple[str, ...] = ()
        self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stop()

    def run(self, target: str, seconds: float, seed: int, tally: Tally) -> None:
        """Fuzz one target for a time, and count the outcomes."""
        self._started()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._ask({"target": target, "seconds": left, "seed": seed}, target, tally):
                return
            seed += 1_000_000  # the same examples would end at the same crash

    def replay(self, folder: Path) -> str:
        """Read the example of a kept fault again. Return what happened."""
        example = json.loads((folder / RECORD).read_text())
        tally = Tally()
        request = {"target": example["target"], "replay": str((folder / FILES).resolve()), "name": example["name"]}
        for outcome in self._outcomes(request):
            tally.count(outcome)
            return f"{outcome['kind']}: {outcome['reason'] or 'no message'}"
        return "the worker ended"

    def _ask(self, request: dict[str, Any], target: str, tally: Tally) -> bool:
        """Return whether the worker finished the request; a fault that ended it is kept."""
        for outcome in self._outcomes(request):
            tally.count(outcome)
            if outcome["kind"] == "fault":
                self._keep(target, outcome, tally)
            if outcome.get("fatal"):
                return False
        return True

    def _outcomes(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the outcome of each example; the last one is fatal if the worker died or was killed."""
        worker, limit = self._started(), _START_SECONDS  # the first example waits for the seeds
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(request).encode() + b"\n")
        worker.stdin.flush()
        while True:
            line = self._line(worker, limit)
            if line is None or not line:
                yield from self._ended(hung=line is None)
                return
            answer = json.loads(line)
            if answer.get("done"):
                return
            yield answer
            limit = MAX_SECONDS if self._engine == "mutation" else _START_SECONDS

    def _line(self, worker: subprocess.Popen[bytes], limit: float) -> bytes | None:
        """Return the next line, empty at the end, None if none came in time."""
        assert worker.stdout is not None
        end = time.monotonic() + limit
        while b"\n" not in self._pending:
            if not select.select([worker.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                return None
            data = os.read(worker.stdout.fileno(), 65536)
            if not data:
                return b""
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _ended(self, *, hung: bool) -> Iterator[dict[str, Any]]:
        code = self._stop(kill=hung)
        if self._engine == "atheris" and not hung and code == 0:  # libFuzzer ends the process when the time is over
            return
        how = f"no answer for {MAX_SECONDS:.0f} s" if hung else f"the process ended with {_exit_name(code)}"
        log = self._log.read_text(errors="replace")[-4000:]
        yield {"kind": "fault", "reason": f"{how}\n{log}", "key": how, "cpu": 0.0, "memory": 0, "fatal": True} | {
            "folder": str(self._work)
        }

    def _keep(self, target: str, outcome: dict[str, Any], tally: Tally) -> None:
        """Copy the example of a fault, unless one of the same cause is kept already."""
        digest = hashlib.sha256(outcome["key"].encode()).hexdigest()[:10]
        folder = self._faults / f"{target}-{digest}"
        tally.faults.setdefault(outcome["key"], folder)
        if not folder.exists():
            shutil.copytree(outcome["folder"], folder)
            command = f"python -m tests.fuzz --replay {folder}"
            (folder / "fault.txt").write_text(
                f"{command}\n\n{outcome['key']}\n\n{outcome['reason']}\n", errors="replace"
            )
        shutil.rmtree(outcome["folder"])

    def _started(self) -> subprocess.Popen[bytes]:
        if self._worker is None:
            command = [sys.executable, *WORKER, self._engine, str(self._work)]
            # One thread: the memory of the threads of a numeric library counts as that of the reader.
            quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
            with self._log.open("wb") as log:
                self._worker = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=CHECKOUT,
                    env=os.environ | quiet,
                )
            self._pending = b""
            line = self._line(self._worker, _START_SECONDS)
            if not line:
                raise RuntimeError(f"the worker does not start: {self._log.read_text(errors='replace')[-2000:]}")
            self.targets = tuple(json.loads(line)["ready"])
        return self._worker

    def _stop(self, *, kill: bool = False) -> int:
        worker, self._worker = self._worker, None
        if worker is None:
            return 0
        if worker.stdin is not None and not kill:
            worker.stdin.close()
        if kill:
            worker.kill()
        try:
            code = worker.wait(timeout=30)
        except subprocess.TimeoutExpired:
            worker.kill()
            code = worker.wait()
        for stream in (worker.stdin, worker.stdout):
            if stream is not None:
                stream.close()
        return code


def _exit_name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
