"""Find and load the optional libraries, which belong to the extra `clinical` of the package."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from threading import RLock

from report_gen.errors import UsageError

_PANGO = ("gobject", "pango", "harfbuzz", "fontconfig")
"""Prefixes of the names of the system libraries that WeasyPrint loads."""
_SEARCH_LOCK = RLock()
"""Protects `ctypes.util.find_library` while it is replaced. It is reentrant, because the blocks may be nested."""


@contextmanager
def clinical_extra(what: str) -> Iterator[None]:
    """Convert the error about a missing library into one that tells how to install it.

    Args:
        what: What needs the libraries that are imported in the block, such as "the format pdf".

    Raises:
        UsageError: A library, or a system library that it loads, is missing.
    """
    try:
        with _pango_by_soname():
            yield
    except ModuleNotFoundError as error:
        raise _missing(what, error.name or "") from error
    except OSError as error:
        if error.errno is not None:  # of the system; cffi, by which WeasyPrint loads Pango, gives no number
            raise UsageError(f"{what}: a library cannot be read ({error}); check the installation") from error
        raise UsageError(
            f"{what} needs the system library Pango, which cannot be loaded; install it (Debian: apt-get install "
            "libpango-1.0-0 libpangoft2-1.0-0, macOS: brew install pango), or choose a format that contains no PDF, "
            "such as html or hl7"
        ) from error


@contextmanager
def _pango_by_soname() -> Iterator[None]:
    """Let WeasyPrint load Pango and the libraries that belong to it by their sonames on Linux, without a search.

    WeasyPrint tries the library names of all systems. For each name without a dot, and each one that does not exist,
    cffi calls `ctypes.util.find_library`, which runs ldconfig, gcc and ld on Linux. In total these are 54 processes,
    which take 0.3 s or, on a busy machine, longer. Their result is a soname, which WeasyPrint also tries by itself.
    """
    if sys.platform != "linux":
        yield
        return
    import ctypes.util  # not needed for --help

    with _SEARCH_LOCK:
        search = ctypes.util.find_library

        def find_others(name: str) -> str | None:
            # None: "not found", after which WeasyPrint tries the soname
            return None if name.removeprefix("lib").startswith(_PANGO) else search(name)

        ctypes.util.find_library = find_others
        try:
            yield
        finally:
            ctypes.util.find_library = search


def check_libraries(what: str, libraries: Iterable[str]) -> None:
    """Check whether libraries are installed. They are not imported, so that a command starts quickly.

    Raises:
        UsageError: A library is missing.
    """
    for name in libraries:
        with clinical_extra(what):
            if find_spec(name) is None:  # raises ModuleNotFoundError if a parent package is missing
                raise _missing(what, name)


def load_libraries(what: str, libraries: Iterable[str]) -> None:
    """Import libraries.

    Raises:
        UsageError: A library, or a system library that it loads, is missing.
    """
    for name in libraries:
        with clinical_extra(what):
            import_module(name)


def _missing(what: str, name: str) -> UsageError:
    return UsageError(
        f'{what} needs the library {name}, which is not installed; install it with: pip install "report-gen[clinical]"'
    )
