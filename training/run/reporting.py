"""How long work tells the door how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

OnProgress = Callable[[str, int, int], None]
"""Called with a task, how much of it is done, and how much there is."""

_EVERY = 100


def unheard(_task: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def reported(items: Iterable[T], task: str, total: int, on_progress: OnProgress) -> Iterator[T]:
    """Pass items on, and tell of every hundredth and of the end."""
    done = 0
    for item in items:
        yield item
        done += 1
        if done % _EVERY == 0:
            on_progress(task, done, total)
    on_progress(task, done, max(done, total))
