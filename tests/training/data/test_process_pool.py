"""Work shared out among processes comes back in order, as do its faults."""

from __future__ import annotations

import os
from itertools import count, islice
from math import sqrt

import pytest
from report_gen_training.data.process_pool import cores, map_in_processes

from report_gen.errors import ReportGenError


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_faults_come_out(processes: int) -> None:
    numbers = list(range(96))  # whole bundles: the one with the fault is lost
    results = map_in_processes(sqrt, [*numbers, -1, 4], processes)
    assert list(islice(results, 96)) == [sqrt(number) for number in numbers]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(results)


def test_no_more_is_asked_for_than_is_under_way() -> None:
    endless = count()
    results = map_in_processes(sqrt, endless, 2)
    assert list(islice(results, 10)) == [sqrt(number) for number in range(10)]
    results.close()  # type: ignore[attr-defined]
    assert next(endless) < 100


def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(ReportGenError, match="a process that helped died, most likely for want of memory"):
        list(map_in_processes(os._exit, range(3), 2))


def test_there_is_a_core() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
