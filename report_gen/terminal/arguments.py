"""Refuse empty arguments on the command line."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

from report_gen.errors import UsageError

_OPTION = re.compile(r"--?[A-Za-z][\w-]*")


def refuse_empty(arguments: Sequence[str], *, allowed: Container[str] = ()) -> None:
    """Refuse an empty argument, which usually is a shell variable that is not set.

    An empty path would be the current folder: `report-gen draft "$STUDY"` would draft every image in it.

    Args:
        arguments: The arguments after the name of the program.
        allowed: Options whose value may be empty.

    Raises:
        UsageError: An argument, or the value of an option, is empty.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, equals, value = argument.partition("=")
        if argument and not (equals and not value and _OPTION.fullmatch(option)):
            continue
        if not argument:
            option = before if _OPTION.fullmatch(before) else ""
        if option not in allowed:
            raise UsageError(f"{option or 'an argument'}: the value is empty; give a value, or leave the argument out")
