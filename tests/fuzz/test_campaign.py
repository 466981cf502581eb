"""The fuzzer itself: which outcomes are faults, and that a reader that crashes or hangs does not end it."""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from report_gen.errors import CorpusError, StudyError
from tests.fuzz import campaign as campaign_module
from tests.fuzz import checking
from tests.fuzz.byte_mutation import mutate_bytes
from tests.fuzz.campaign import Campaign, Tally
from tests.fuzz.checking import check
from tests.fuzz.example import Target


def target(read: Callable[[Path], object]) -> Target:
    return Target("x", list, lambda _seeds: pytest.fail("not used"), read)


def raises(error: BaseException) -> Callable[[Path], object]:
    def read(_path: Path) -> object:
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StudyError(Path("folder-7/b.png"), "is broken; export it again"), "refused"),
        (CorpusError("folder-7: the folder is empty; name another"), "refused"),
        (CorpusError("the table is broken; correct it"), "fault"),
        (KeyError("b.png"), "fault"),
        (SystemExit(0), "fault"),
        (MemoryError(), "fault"),
    ],
)
def test_only_an_error_that_names_the_file_is_a_refusal(error: BaseException, kind: str) -> None:
    assert check(target(raises(error)), Path("folder-7/b.png")).kind == kind


def test_faults_of_one_cause_have_one_key() -> None:
    first, second = (check(target(raises(ValueError(text))), Path("b.png")).key for text in ("one", "two"))
    assert first == second != check(target(raises(KeyError("one"))), Path("b.png")).key


def _fill_new_pages(_path: Path) -> None:
    """Use 64 MiB that the process did not have before; a bytearray may get memory that an earlier test has freed."""
    with mmap.mmap(-1, 2**26) as pages:
        pages[:] = bytes(len(pages))


def test_time_and_memory_beyond_the_limits_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "MAX_CPU_SECONDS", 0.05)
    assert check(target(lambda _path: sum(range(10**7))), Path("b.png")).key.startswith("slow")
    monkeypatch.undo()
    monkeypatch.setattr(checking, "MAX_MEMORY", 2**25)
    assert check(target(_fill_new_pages), Path("b.png")).key.startswith("memory")
    assert check(target(lambda _path: None), Path("b.png")).kind == "read"


def test_mutations_depend_on_the_seed_only_and_change_the_bytes() -> None:
    content = bytes(range(256)) * 4

    def mutated(seed: int) -> list[bytes]:
        random = np.random.default_rng(seed)
        return [mutate_bytes(content, [b"other" * 9], random) for _ in range(50)]

    assert mutated(1) == mutated(1) != mutated(2)
    assert sum(changed != content for changed in mutated(1)) > 45
    assert len({len(changed) for changed in mutated(1)}) > 10


WORKER = """
import json, os, pathlib, sys, time
work = pathlib.Path(sys.argv[2])
print(json.dumps({"ready": ["crash", "hang"]}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    (work / "files").mkdir(parents=True, exist_ok=True)
    (work / "files" / "a.bin").write_bytes(b"guilty")
    (work / "example.json").write_text(json.dumps({"target": request["target"], "name": "a.bin"}))
    print(json.dumps({"kind": "read", "reason": "", "key": "", "cpu": 0.1, "memory": 5}), flush=True)
    os.abort() if request["target"] == "crash" else time.sleep(600)
"""


@pytest.mark.parametrize(("name", "cause"), [("crash", "SIGABRT"), ("hang", "no answer for 1 s")])
def test_a_worker_that_dies_or_hangs_is_a_fault_with_its_example(
    name: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    monkeypatch.setattr(campaign_module, "MAX_SECONDS", 1.0)
    monkeypatch.setattr(campaign_module, "WORKER", (str(tmp_path / "worker.py"),))
    tally = Tally()
    with Campaign(tmp_path / "work", tmp_path / "faults") as campaign:
        campaign.run(name, 0.5, 0, tally)
    (key,) = tally.faults
    assert cause in key
    assert (tally.faults[key] / "files" / "a.bin").read_bytes() == b"guilty"
    assert json.loads((tally.faults[key] / "example.json").read_text())["target"] == name
    assert f"python -m tests.fuzz --replay {tally.faults[key]}" in (tally.faults[key] / "fault.txt").read_text()
    assert tally.read >= 1
