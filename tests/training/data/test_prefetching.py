"""Batches are made ahead, in order; an error is raised at its turn."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch
from report_gen_training.data.prefetching import prefetch
from torch.utils.data import Dataset

from report_gen.errors import OutputError


class Squares(Dataset[int]):
    """Records the requested items and the threads that made them."""

    def __init__(self) -> None:
        self.requested: list[int] = []
        self.threads: set[str] = set()

    def __getitem__(self, number: int) -> int:
        self.requested.append(number)
        self.threads.add(threading.current_thread().name)
        if number < 0:
            raise OutputError("the cache is gone")
        return number**2


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order(workers: int) -> None:
    before = torch.random.get_rng_state()
    assert list(prefetch(Squares(), list(range(20)), workers)) == [number**2 for number in range(20)]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_two_batches_are_made_while_one_is_used() -> None:
    squares = Squares()
    batches = prefetch(squares, list(range(20)), 0)
    assert next(batches) == 0
    deadline = time.monotonic() + 10
    while len(squares.requested) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert squares.requested == [0, 1, 2]
    assert threading.current_thread().name not in squares.threads


def test_closing_early_leaves_no_thread() -> None:
    batches: Any = prefetch(Squares(), list(range(1000)), 0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_an_error_is_raised_at_its_turn() -> None:
    batches = prefetch(Squares(), [1, 2, -1, 3], 0)
    assert [next(batches), next(batches)] == [1, 4]
    with pytest.raises(OutputError, match="the cache is gone"):
        next(batches)


def test_an_empty_sampler_has_no_batches() -> None:
    assert list(prefetch(Squares(), [], 0)) == []
