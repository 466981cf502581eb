"""Draft the studies of a batch in this process, or in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from report_gen.batch.pool import Failure, WorkerPool
from report_gen.batch.records import BatchSettings, DraftedStudy, StudyTask
from report_gen.errors import ReportGenError, StudyError, StudyTimeoutError

if TYPE_CHECKING:
    from report_gen.batch.study_worker import StudyWorker

_AHEAD = 256
"""Studies beyond the first one without a result that may be drafted, where results are wanted in order."""


def draft_here(settings: BatchSettings, tasks: Sequence[StudyTask]) -> Iterator[DraftedStudy]:
    """Draft studies in this process.

    Args:
        settings: What the drafts have in common.
        tasks: The studies.

    Returns:
        The documents of each study in order, or why the study is refused.

    Raises:
        ReportGenError: The error is not that of a study, such as a checkpoint that cannot be loaded.
    """
    from report_gen.batch.study_worker import StudyWorker  # imports torch, which a process with workers does not need

    return StudyWorker(settings).draft(tasks)


def draft_in_processes(
    settings: BatchSettings,
    tasks: Iterable[StudyTask],
    *,
    workers: int,
    in_order: bool = False,
    should_stop: Callable[[], object] = lambda: False,
) -> Iterator[DraftedStudy]:
    """Draft studies in worker processes, each of which reads images, computes and renders with one thread.

    If a process dies with a batch of several studies, each of them is drafted alone. A study that was alone is tried a
    second time. It is refused if its process dies again, or if the study takes longer than its limit. The other
    processes continue meanwhile.

    Args:
        settings: What the drafts have in common.
        tasks: The studies, with the numbers 0, 1 and so on.
        workers: Number of processes, at least 1.
        in_order: Yield the results in the order of the studies. A study that takes long then delays the results of
            later ones, of which a bounded number is drafted meanwhile.
        should_stop: See `WorkerPool.run`.

    Yields:
        The documents of each study, or why the study is refused. By default a study is yielded as soon as it is
        finished.

    Raises:
        ReportGenError: The error is not that of a study, such as a checkpoint that cannot be loaded.
        ResourceError: The processes cannot start.
    """
    open_work, seconds = partial(open_worker, settings), settings.limits.seconds
    batches = split_batches(tasks, settings.batch_size)
    with WorkerPool(open_work, refuse, workers=workers, seconds=seconds) as pool:
        if not in_order:
            yield from pool.run(batches, should_stop=should_stop)
            return
        ordered = _InOrder()
        for result in pool.run(batches, may_start=ordered.may_start, should_stop=should_stop):
            yield from ordered.take(result)


class _InOrder:
    """Puts results into the order of the studies."""

    def __init__(self) -> None:
        self._finished, self._next = dict[int, DraftedStudy](), 0

    def may_start(self, batch: Sequence[StudyTask]) -> bool:
        """Return whether the results of a batch would not have to be kept for too long."""
        return batch[0].number < self._next + _AHEAD

    def take(self, result: DraftedStudy) -> Iterator[DraftedStudy]:
        """Yield a result and those that were kept for it, or keep it for those before it."""
        self._finished[result.number] = result
        while self._next in self._finished:
            yield self._finished.pop(self._next)
            self._next += 1


@contextmanager
def open_worker(settings: BatchSettings) -> Iterator[StudyWorker]:
    """Open the work in a worker process."""
    from report_gen.batch.study_worker import worker_process  # not imported by the process that starts the workers

    with worker_process(settings) as worker:
        yield worker


def split_batches(tasks: Iterable[StudyTask], batch_size: int) -> Iterator[list[StudyTask]]:
    """Yield the batches that `DrafterSet.draft_all` makes of studies: consecutive ones with the same models."""
    for _, group in groupby(tasks, key=lambda task: task.models):
        batch: list[StudyTask] = []
        for task in group:
            batch.append(task)
            if len(batch) == batch_size:
                yield batch
                batch = []
        if batch:
            yield batch


def refuse(task: StudyTask, failure: Failure) -> DraftedStudy:
    """Return the result of a study that a worker process could not draft."""
    return DraftedStudy(number=task.number, refused=_error(task, failure))


def _error(task: StudyTask, failure: Failure) -> ReportGenError:
    path = task.request.study.path
    if failure.late:
        return StudyTimeoutError(
            path, "took longer than --timeout and did not stop by itself; check its files, or allow more time"
        )
    if failure.memory:
        return StudyError(path, "not enough memory to draft the study; use fewer --workers, or free memory")
    if failure.ended:
        return StudyError(
            path,
            f"the process that drafted it died twice ({failure.ended}); check its files, or use fewer --workers if "
            "memory ran out",
        )
    return ReportGenError(
        f"{path}: a fault of report-gen ({failure.fault}); draft this study without --workers to see where, and "
        "report the fault"
    )
