"""Results of several processes come back in order, as do their errors."""

from __future__ import annotations

import os
from itertools import count, islice
from math import sqrt

import pytest
from report_gen_training.data.process_pool import available_cores, map_in_processes

from report_gen.errors import ResourceError


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_errors_are_raised(processes: int) -> None:
    numbers = list(range(96))  # whole bundles: the bundle with the error is lost
    results = map_in_processes(sqrt, [*numbers, -1, 4], processes)
    assert list(islice(results, 96)) == [sqrt(number) for number in numbers]
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(results)


def test_few_inputs_are_read_ahead() -> None:
    endless = count()
    results = map_in_processes(sqrt, endless, 2)
    assert list(islice(results, 10)) == [sqrt(number) for number in range(10)]
    results.close()  # type: ignore[attr-defined]
    assert next(endless) < 100


def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(ResourceError, match="a worker process died, most likely because memory ran out"):
        list(map_in_processes(os._exit, range(3), 2))


def test_at_least_one_core_is_available() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
