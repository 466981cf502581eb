"""Process tasks in worker processes. A task that crashes, hangs or fails does not affect the others."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Generic, Protocol, TypeVar

from report_gen.batch.worker import Failed, Fatal, Started, Work, WorkerProcess
from report_gen.errors import ReportGenError, ResourceError

_GRACE_SECONDS = 10.0
"""Time beyond the limit of a task. Work that checks its limit itself ends earlier and gives a better message."""
_START_SECONDS = 600.0
"""Time in which a worker must have loaded a model."""
_STOP_SECONDS = 60.0
"""Time that batches may still take after a stop was requested. The SLURM script in `drafting/README.md` allows 120
seconds (`TERM@120`)."""
_POLL_SECONDS = 0.5
"""How often limits and requests to stop are checked."""
_ATTEMPTS = 2
"""Number of ends of its process after which a task that was alone is refused. The first end may have another cause,
such as the OOM killer."""
_STARTS = 3
"""Number of workers that end while they load a model, without a result in between, after which the pool gives up."""


class Numbered(Protocol):
    """A task or a result."""

    @property
    def number(self) -> int:
        """Identifies the task among all."""


T = TypeVar("T", bound=Numbered)
R = TypeVar("R", bound=Numbered)


@dataclass(frozen=True)
class Failure:
    """Why a task has no result."""

    ended: str = ""
    """How the process that did the task ended, each time that it was tried."""
    late: bool = False
    """Whether the task took longer than its limit."""
    fault: str = ""
    """Name of the exception that the task raised."""
    memory: bool = False
    """Whether the memory was exhausted."""


@dataclass
class _Worker(Generic[T]):
    process: WorkerProcess
    tasks: list[T] = field(default_factory=list)
    """Tasks of its batch that have no result; empty if it waits for work."""
    has_started: bool = False
    """Whether it has loaded what its batch needs."""
    since: float = 0.0
    """Time of its last message, or of the start of its batch, in seconds of `time.monotonic`."""


class WorkerPool(Generic[T, R]):
    """Does batches of tasks in worker processes, which are killed when the context ends.

    Args:
        open_work: Opens the work in a worker; another process must be able to import it.
        refuse: Returns the result of a task that has failed.
        workers: Number of processes.
        seconds: Longest time in seconds, plus `_GRACE_SECONDS`, from one message of a worker to the next; None for no
            limit. A batch of several tasks that takes longer is done task by task.
    """

    def __init__(
        self,
        open_work: Callable[[], AbstractContextManager[Work[T, R]]],
        refuse: Callable[[T, Failure], R],
        *,
        workers: int,
        seconds: float | None,
    ) -> None:
        self._open_work, self._refuse, self._count, self._seconds = open_work, refuse, workers, seconds
        self._workers: list[_Worker[T]] = []
        self._retries = deque[list[T]]()
        self._next: Sequence[T] = ()
        """The batch that may not start yet."""
        self._ends = Counter[int]()
        self._failed_starts = 0
        self._ready = deque[R]()
        self._fatal: ReportGenError | None = None

    def __enter__(self) -> WorkerPool[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.stop()
        self._workers.clear()

    def run(
        self,
        batches: Iterable[Sequence[T]],
        *,
        may_start: Callable[[Sequence[T]], bool] = lambda _: True,
        should_stop: Callable[[], object] = lambda: False,
    ) -> Iterator[R]:
        """Yield one result for each task, as soon as it is there. As many batches are in progress as there are workers.

        Args:
            batches: The tasks, which are taken when a worker is free.
            may_start: Whether a batch may be begun. If not, it waits until another one is finished.
            should_stop: After it returns a true value, no batch is begun. Those that were begun are finished, unless
                they take longer than a minute. Tasks without a result were not done.

        Raises:
            ReportGenError: An error that concerns all tasks.
            ResourceError: Workers cannot start.
        """
        remaining, stop_at = iter(batches), float("inf")
        while time.monotonic() < stop_at:
            if should_stop():
                stop_at = min(stop_at, time.monotonic() + _STOP_SECONDS)
            else:
                self._begin(remaining, may_start)
            is_over = not self._ready and not any(worker.tasks for worker in self._workers)
            while self._ready:  # the workers work while a result is written
                yield self._ready.popleft()
            if self._fatal is not None:
                raise self._fatal
            if is_over:
                return
            self._receive()
            self._end_late()

    def _begin(self, remaining: Iterator[Sequence[T]], may_start: Callable[[Sequence[T]], bool]) -> None:
        """Give work to the workers that have none; start workers as long as there is work for them."""
        while (worker := next((one for one in self._workers if not one.tasks), None)) or (
            len(self._workers) < self._count
        ):
            if self._retries:
                batch = self._retries.popleft()
            else:
                self._next = self._next or next(remaining, ())
                if not self._next or not may_start(self._next):
                    return
                batch, self._next = list(self._next), ()
            if worker is None:
                worker = _Worker(WorkerProcess(self._open_work))
                self._workers.append(worker)
            worker.tasks, worker.has_started, worker.since = batch, False, time.monotonic()
            worker.process.send(batch)

    def _receive(self) -> None:
        """Receive the results that workers have sent."""
        busy: dict[object, _Worker[T]] = {worker.process.connection: worker for worker in self._workers if worker.tasks}
        for connection in wait([worker.process.connection for worker in busy.values()], _POLL_SECONDS if busy else 0):
            worker = busy[connection]
            worker.since = time.monotonic()
            match worker.process.receive():
                case None:
                    self._end(worker)
                case Started():
                    worker.has_started = True
                case Failed(kind, is_out_of_memory):
                    tasks, worker.tasks = worker.tasks, []
                    self._fail(tasks, Failure(fault=kind, memory=is_out_of_memory))
                case Fatal(error):
                    self._fatal = error
                    worker.tasks = []
                case result:
                    self._failed_starts = 0
                    worker.tasks = [task for task in worker.tasks if task.number != result.number]
                    self._ready.append(result)

    def _end_late(self) -> None:
        """Kill the workers that take too long."""
        for worker in [one for one in self._workers if one.tasks]:
            limit = _START_SECONDS if not worker.has_started else self._seconds and self._seconds + _GRACE_SECONDS
            if limit and time.monotonic() - worker.since > limit:
                self._end(worker, late=True)

    def _end(self, worker: _Worker[T], *, late: bool = False) -> None:
        """Remove a worker that died or is late, and repeat its tasks or refuse them."""
        self._workers.remove(worker)
        ended = worker.process.stop(has_died=not late)
        if worker.has_started:
            self._fail(worker.tasks, Failure(ended="" if late else ended, late=late))
            return
        self._failed_starts += 1
        if self._failed_starts == _STARTS:
            raise ResourceError(
                f"{_STARTS} worker processes ended while they loaded a model (the last one: {ended}), most likely "
                "because memory ran out; use fewer workers"
            )
        self._retries.append(worker.tasks)

    def _fail(self, tasks: list[T], failure: Failure) -> None:
        """Repeat the tasks of a batch one by one; refuse a task that was alone, at the second end of its process."""
        if len(tasks) > 1:
            self._retries.extend([task] for task in tasks)
            return
        (task,) = tasks
        self._ends[task.number] += bool(failure.ended)
        if failure.ended and self._ends[task.number] < _ATTEMPTS:
            self._retries.append(tasks)
        else:
            self._ready.append(self._refuse(task, failure))
