"""Types and checks of arguments that the command line and the Python interface have in common."""

from __future__ import annotations

from typing import Literal

from report_gen.errors import UsageError

DtypeName = Literal["auto", "float32", "bfloat16", "int8"]
"""Numbers that a model computes with; see `resolve_dtype`."""

MAX_SEED = 2**64 - 1
"""Largest seed: readers of JSON and random generators expect a number of 64 bits."""


def check_count(name: str, value: object, *, least: int = 1, largest: int | None = None) -> None:
    """Raise UsageError if a value is not a whole number in a range. True and False are no numbers.

    Args:
        name: Name of the argument.
        value: The value.
        least: Smallest number.
        largest: Largest number. None: any.
    """
    highest = float("inf") if largest is None else largest
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= highest:
        return
    bounds = f"of at least {least}" if largest is None else f"from {least} to {largest}"
    raise UsageError(f"{name} is {value!r}; give a whole number {bounds}")
