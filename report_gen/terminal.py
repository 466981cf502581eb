"""Progress on standard error, so that standard output stays clean for drafts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Pass items on while a bar grows; nothing is shown for a single one."""
    with _progress(disable=total < 2) as progress:
        yield from Bars(progress).track(items, total=total, description=description)


@contextmanager
def bars() -> Iterator[Bars]:
    """Bars of several tasks, a line each, as long as the context lasts."""
    with _progress() as progress:
        yield Bars(progress)


class Bars:
    """One bar a task, and lines above the bars. What is shown is text as it is, never markup."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, task: str, done: int, total: int, note: str = "", *, alarm: str = "") -> None:
        """Draw how far a task is; an alarm stands in red before the note."""
        if task not in self._tasks:
            # What was done before the first call, as in a resumed run, says nothing of the speed.
            self._tasks[task] = self._progress.add_task(task, total=total, completed=done, note="", alarm="")
        self._progress.update(self._tasks[task], completed=done, note=note, alarm=alarm)

    def track(self, items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
        """Pass items on while their bar grows."""
        self.show(description, 0, total)
        for done, item in enumerate(items, start=1):
            yield item
            self.show(description, done, total)

    def say(self, line: str, *, alarm: bool = False) -> None:
        """A line that stays, above the bars; in red where it is an alarm."""
        console = self._progress.console
        console.print(line, style="bold red" if alarm else None, markup=False, highlight=False, soft_wrap=True)


def _progress(*, disable: bool = False) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        # Where the terminal is narrow the bar gives way before the figures do.
        BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=30, ratio=1)),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[alarm]}", markup=False, style="bold red"),
        TextColumn("{task.fields[note]}", markup=False),
        # In a notebook rich would ask for widgets; there bars are lines of text as in any other file.
        console=Console(stderr=True, force_jupyter=False),
        disable=disable,
    )
