"""Show progress bars on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from report_gen.controls import escape_controls
from report_gen.terminal.escaping import safe_console
from report_gen.terminal.printing import is_quiet

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Pass items on and show a progress bar; a single item gets none.

    Args:
        items: The items.
        total: Number of items.
        description: Text beside the bar.
    """
    with _progress(disable=total < 2) as progress:
        yield from Bars(progress).track(items, total=total, description=description)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show the progress bars of several tasks, one line each, until the context ends."""
    with _progress() as progress:
        yield Bars(progress)


class Bars:
    """Progress bars, one per task, with lines of text above them. Text is shown literally, never as markup.

    A line break in a text is escaped, because what follows it would look like a message of its own.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, task: str, done: int, total: int, note: str = "", *, alarm: str = "") -> None:
        """Show the progress of a task; `alarm` is written in red before `note`.

        Args:
            task: Name of the task, beside its bar.
            done: Units of work that are done.
            total: Units of work in all.
            note: Text after the bar.
            alarm: Text in red before the note.
        """
        if task not in self._tasks:
            # A resumed run starts in the middle. Steps done before the first call must not count for the speed.
            self._tasks[task] = self._progress.add_task(_one_line(task), total=total, completed=done, note="", alarm="")
        self._progress.update(self._tasks[task], completed=done, note=_one_line(note), alarm=_one_line(alarm))

    def track(self, items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
        """Pass items on and advance their bar."""
        self.show(description, 0, total)
        for done, item in enumerate(items, start=1):
            yield item
            self.show(description, done, total)

    def say(self, line: str, *, alarm: bool = False) -> None:
        """Print a line that stays above the bars, in red if it is an alarm. `--quiet` hides all but alarms."""
        if alarm or not is_quiet():
            style = "bold red" if alarm else None
            self._progress.console.print(_one_line(line), style=style, highlight=False, soft_wrap=True)


def _one_line(text: str) -> str:
    return escape_controls(text, keep="")


def _progress(*, disable: bool = False) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}", markup=False),
        # In a narrow terminal the bar shrinks before the figures do.
        BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=30, ratio=1)),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[alarm]}", markup=False, style="bold red"),
        TextColumn("{task.fields[note]}", markup=False),
        # In a notebook rich would need widgets; plain lines of text need nothing.
        console=safe_console(stderr=True, force_jupyter=False, markup=False, emoji=False),
        disable=disable or is_quiet(),
        # rich would print all output above the bars, on standard error. Results in a pipe or file must stay there.
        redirect_stdout=sys.stdout.isatty(),
    )
