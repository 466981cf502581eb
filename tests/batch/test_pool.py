"""Worker processes: a task that crashes, hangs or fails costs only itself, and nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from report_gen.batch import pool
from report_gen.batch.pool import Failure, WorkerPool
from report_gen.errors import CheckpointError, ResourceError
from tests.batch.fake_work import VARIABLE, Result, Task, open_fake_work, refuse


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))  # workers import the fake work
    monkeypatch.setattr(pool, "_GRACE_SECONDS", 0.2)


def run(batches: Iterable[Sequence[Task]], *, workers: int = 2, seconds: float = 30, **options: Any) -> list[Result]:
    with WorkerPool(open_fake_work, refuse, workers=workers, seconds=seconds) as workers_:
        return list(workers_.run(batches, **options))


def tasks(count: int, **actions: str) -> list[Task]:
    """Return tasks; `t3="crash"` is the action of task 3."""
    return [Task(number, actions.get(f"t{number}", "")) for number in range(count)]


def singles(all_tasks: Sequence[Task]) -> list[list[Task]]:
    return [[task] for task in all_tasks]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_task_has_one_result(workers: int) -> None:
    results = run([tasks(9)[:4], tasks(9)[4:5], tasks(9)[5:]], workers=workers)
    assert sorted(result.number for result in results) == list(range(9))
    processes = {result.process for result in results}
    assert os.getpid() not in processes
    assert len(processes) <= workers


def test_a_worker_has_the_environment_of_the_process_that_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fork server was started before, with the environment of that time."""
    for value in ("first", "second"):
        monkeypatch.setenv(VARIABLE, value)
        (result,) = run([[Task(0)]], workers=1)
        assert result.variable == value


def test_no_task_needs_no_process() -> None:
    assert run([]) == []


def failures(results: Iterable[Result]) -> dict[int, Failure]:
    return {result.number: result.failure for result in results if result.failure is not None}


def test_a_task_that_crashes_twice_is_refused_and_the_others_go_on() -> None:
    results = run(singles(tasks(6, t1="crash")))
    assert sorted(result.number for result in results) == list(range(6))
    assert failures(results) == {1: Failure(ended="SIGSEGV")}


def test_a_task_whose_worker_was_killed_once_is_done_again(tmp_path: Path) -> None:
    results = run(singles([Task(0), Task(1, "crash once", tmp_path), Task(2)]), workers=1)
    assert sorted(result.number for result in results) == [0, 1, 2]
    assert failures(results) == {}
    assert len({result.process for result in results}) == 2


def test_a_hanging_task_is_refused_after_its_time_and_delays_no_other() -> None:
    began = time.monotonic()
    seen = run(singles(tasks(8, t0="hang")), seconds=1.5)
    assert [result.number for result in seen][-1] == 0
    assert failures(seen) == {0: Failure(late=True)}
    assert time.monotonic() - began < 60


def test_a_process_that_a_hanging_task_has_started_is_killed_as_well(tmp_path: Path) -> None:
    assert failures(run([[Task(0, "decoder hangs", tmp_path)]], seconds=1)) == {0: Failure(late=True)}
    decoder = int((tmp_path / "decoder").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(decoder) and psutil.Process(decoder).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("action", "failure"),
    [
        ("crash", Failure(ended="SIGSEGV")),
        ("hang", Failure(late=True)),
        ("raise", Failure(fault="ValueError")),
        ("no memory", Failure(fault="MemoryError", memory=True)),
    ],
)
def test_of_a_batch_only_the_task_at_fault_is_refused(action: str, failure: Failure) -> None:
    results = run([tasks(4, t2=action), tasks(6)[4:]], workers=1, seconds=1)
    assert sorted(result.number for result in results) == list(range(6))
    assert failures(results) == {2: failure}


def test_a_fault_costs_no_process() -> None:
    results = run(singles(tasks(3, t1="raise")), workers=1)
    assert len({result.process for result in results if not result.failure}) == 1


def test_an_error_of_all_tasks_is_raised() -> None:
    with pytest.raises(CheckpointError, match=r"^the model is broken$"):
        run(singles(tasks(3, t0="fatal")))


def test_workers_that_cannot_start_end_the_run() -> None:
    with pytest.raises(ResourceError, match=r"3 worker processes ended while .* SIGKILL\), most likely because memory"):
        run(singles(tasks(3, t0="crash at start")), workers=1)


def test_batches_are_taken_when_a_worker_is_free() -> None:
    """No queue grows: of 200 batches, those that are finished, one per worker and one result per worker are taken."""
    taken: list[int] = []
    finished = 0

    def batches() -> Iterator[list[Task]]:
        for task in tasks(200):
            taken.append(task.number)
            yield [task]

    with WorkerPool(open_fake_work, refuse, workers=2, seconds=30) as workers:
        for _ in workers.run(batches()):
            finished += 1
            assert len(taken) <= finished + 4
    assert finished == 200


def test_a_batch_that_may_not_start_waits() -> None:
    seen: list[int] = []
    with WorkerPool(open_fake_work, refuse, workers=3, seconds=30) as workers:
        results = workers.run(singles(tasks(6)), may_start=lambda batch: batch[0].number <= len(seen))
        seen.extend(result.number for result in results)
    assert seen == list(range(6))  # each began when the one before was finished


def test_a_stop_finishes_what_was_begun(tmp_path: Path) -> None:
    """Every task that a worker has begun has a result."""
    batches = [[Task(2 * number, "slow", tmp_path), Task(2 * number + 1, "slow", tmp_path)] for number in range(10)]
    results: list[Result] = []
    with WorkerPool(open_fake_work, refuse, workers=2, seconds=30) as workers:
        results.extend(workers.run(batches, should_stop=lambda: bool(list(tmp_path.iterdir()))))
    begun = sorted(int(path.name) for path in tmp_path.iterdir())
    assert sorted(result.number for result in results) == begun
    assert 2 <= len(results) <= 6
    assert len(results) % 2 == 0


def test_workers_outlive_signals_of_the_terminal_and_end_with_the_pool() -> None:
    with WorkerPool(open_fake_work, refuse, workers=1, seconds=30) as workers:
        (first,) = workers.run(singles(tasks(1)))
        process = psutil.Process(first.process)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        (second,) = workers.run(singles(tasks(1)))
        assert second.process == first.process
    assert not psutil.pid_exists(first.process)
