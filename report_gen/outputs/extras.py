"""Name the extra of the package when an optional library is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from report_gen.errors import UsageError


@contextmanager
def clinical_extra(format_name: str) -> Iterator[None]:
    """Convert the error about a missing library into one that tells how to install it.

    Args:
        format_name: The output format that needs the library.

    Raises:
        UsageError: A library is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the output format {format_name} needs {error.name}, which is not installed; "
            'install it with: pip install "report-gen[clinical]"'
        ) from error
