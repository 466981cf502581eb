"""Batches are made ahead, in order, and what goes wrong with one comes out when it is its turn."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch
from report_gen_training.data.prefetching import prefetched
from torch.utils.data import Dataset

from report_gen.errors import OutputError


class Squares(Dataset[int]):
    """Notes who was asked for what."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.threads: set[str] = set()

    def __getitem__(self, wanted: int) -> int:
        self.asked.append(wanted)
        self.threads.add(threading.current_thread().name)
        if wanted < 0:
            raise OutputError("the cache is gone")
        return wanted**2


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_of_the_plan(workers: int) -> None:
    before = torch.random.get_rng_state()
    assert list(prefetched(Squares(), list(range(20)), workers)) == [number**2 for number in range(20)]
    assert torch.equal(torch.random.get_rng_state(), before)


def test_two_batches_are_made_while_one_is_used() -> None:
    squares = Squares()
    batches = prefetched(squares, list(range(20)), 0)
    assert next(batches) == 0
    deadline = time.monotonic() + 10
    while len(squares.asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert squares.asked == [0, 1, 2]
    assert threading.current_thread().name not in squares.threads


def test_who_stops_early_leaves_no_thread_behind() -> None:
    batches: Any = prefetched(Squares(), list(range(1000)), 0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_fault_comes_out_at_its_turn() -> None:
    batches = prefetched(Squares(), [1, 2, -1, 3], 0)
    assert [next(batches), next(batches)] == [1, 4]
    with pytest.raises(OutputError, match="the cache is gone"):
        next(batches)


def test_an_empty_plan_has_no_batches() -> None:
    assert list(prefetched(Squares(), [], 0)) == []
