"""The process in which examples are read: `python -m tests.fuzz.worker ENGINE FOLDER`.

A reader may exhaust the memory, hang or crash, so it runs in a process of its own with a limit on its address space.
Requests come as lines of JSON on standard input. For each example one line goes to standard output; the parent takes
the example that was on disk when no line comes.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import secrets
import shutil
import sys
import time
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.checking import Outcome, check
from tests.fuzz.example import Example, Target

FILES, RECORD = "files", "example.json"
"""Folder of the files of an example, and the file that names its target and its mutated file."""

ADDRESS_SPACE = 2 * 2**30
"""Address space that the readers may take beyond that of the imported libraries, bytes."""

_BATCH = 20
"""Examples of one kind of mutation before the other has its turn."""


def main(engine: str, work: Path) -> None:
    """Answer the requests until standard input ends.

    Args:
        engine: `mutation`, or `atheris` for mutations guided by coverage.
        work: Folder for the example that is read.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what a library prints must not be taken for an answer
        faulthandler.enable()
        targets = _import_targets(engine)
        warnings.simplefilter("ignore")
        print(json.dumps({"ready": list(targets)}), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            target = targets[request["target"]]
            session = _Session(target, work, answers)
            if "replay" in request:
                session.replay(Path(request["replay"]), request["name"])
            elif engine == "atheris":
                _fuzz_with_atheris(session, _seeds(target), request["seconds"], work.with_name("coverage"))
            else:
                session.run(_seeds(target), request["seconds"], request["seed"])
            session.answer({"done": True})


def _import_targets(engine: str) -> dict[str, Target]:
    if engine != "atheris":
        from tests.fuzz.targets import TARGETS

        return TARGETS
    import atheris

    with atheris.instrument_imports(include=["report_gen", "report_gen_training"]):
        from tests.fuzz.targets import TARGETS
    return TARGETS


@cache
def _seeds(target: Target) -> Sequence[Example]:
    return target.seeds()


class _Session:
    """Reads the examples of one request and answers each.

    Args:
        target: The reader.
        work: Folder for the example.
        answers: Where the outcomes go.
    """

    def __init__(self, target: Target, work: Path, answers: IO[str]) -> None:
        self._target, self._work, self._answers = target, work, answers

    def answer(self, values: dict[str, Any]) -> None:
        """Send one answer."""
        self._answers.write(json.dumps(values) + "\n")
        self._answers.flush()

    def run(self, seeds: Sequence[Example], seconds: float, number: int) -> None:
        """Read the seeds, then mutated ones until the time is over."""
        for example in seeds:
            self.read(example)
        end = time.monotonic() + seconds
        random = np.random.default_rng([number, zlib.crc32(self._target.name.encode())])
        while time.monotonic() < end:
            self._read_structured(seeds, end, int(random.integers(2**32)))
            for _ in range(_BATCH):
                if time.monotonic() < end:
                    self.read(_mutated(seeds, random))

    def read(self, example: Example) -> None:
        """Write an example, read it and answer its outcome. The example of a fault is moved aside for the parent."""
        shutil.rmtree(self._work, ignore_errors=True)
        files = self._work / FILES
        files.mkdir(parents=True)
        (self._work / RECORD).write_text(json.dumps({"target": self._target.name, "name": example.name}))
        outcome = self._check(example.write(files))
        if outcome.kind == "fault":
            kept = self._work.with_name(f"fault-{secrets.token_hex(4)}")
            self._work.rename(kept)
            self.answer(asdict(outcome) | {"folder": str(kept)})
        else:
            self.answer(asdict(outcome))

    def replay(self, folder: Path, name: str) -> None:
        """Read files that lie in a folder."""
        self.answer(asdict(self._check(folder / name)))

    def _check(self, path: Path) -> Outcome:
        with _limited_memory():
            return check(self._target, path)

    def _read_structured(self, seeds: Sequence[Example], end: float, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=_BATCH,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(self._target.structured(seeds))
        def read(example: Example) -> None:
            if time.monotonic() < end:
                self.read(example)

        read()


def _mutated(seeds: Sequence[Example], random: np.random.Generator) -> Example:
    example = seeds[int(random.integers(len(seeds)))]
    others = [seed.files[seed.name] for seed in seeds]
    return example.with_content(mutate_bytes(example.files[example.name], others, random))


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """Limit the address space (Linux). Child processes may raise the limit again, as that of GDCM does."""
    if sys.platform != "linux":
        yield
        return
    import resource

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_SPACE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _fuzz_with_atheris(session: _Session, seeds: Sequence[Example], seconds: float, corpora: Path) -> None:
    """Mutate with libFuzzer until the time is over; it then ends this process. The first byte chooses the seed."""
    import atheris

    folder = corpora / session._target.name
    folder.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(seeds):
        (folder / f"seed-{number}").write_bytes(bytes([number]) + example.files[example.name])

    def read(data: bytes) -> None:
        if data:
            session.read(seeds[data[0] % len(seeds)].with_content(data[1:]))

    limits = [f"-max_total_time={int(seconds)}", "-rss_limit_mb=0", "-timeout=600", f"-max_len={2**20}"]
    atheris.Setup([sys.argv[0], str(folder), *limits], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
