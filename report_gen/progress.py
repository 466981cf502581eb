"""Progress on standard error, so that standard output stays clean for drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Pass items on while a bar grows; nothing is shown for a single one."""
    with _bar(disable=total < 2) as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int, str], None]]:
    """A function (task, done, total, note) that draws one bar a task."""
    with _bar(TextColumn("{task.fields[note]}")) as bar:
        tasks = {}

        def show(task: str, done: int, total: int, note: str) -> None:
            if task not in tasks:
                tasks[task] = bar.add_task(task, total=total, note=note)
            bar.update(tasks[task], completed=done, note=note)

        yield show


def _bar(*columns: TextColumn, disable: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *columns,
        console=Console(stderr=True),
        disable=disable,
    )
