"""Ignored warnings of libraries."""

from __future__ import annotations

import warnings

import pytest

from report_gen.library_warnings import ignore_warnings


def warn(message: str, module: str) -> None:
    warnings.warn_explicit(message, UserWarning, filename="x.py", lineno=1, module=module)


def test_only_what_matches_is_ignored() -> None:
    ignore_warnings(module=r"pydicom\b")
    ignore_warnings(message="Glyph")
    warn("bad value", "pydicom.valuerep")
    warn("Glyph 9 missing", "anywhere")
    for message, module in (("bad value", "pydicomplus"), ("a Glyph", "anywhere")):
        with pytest.raises(UserWarning, match=message):  # warnings are errors in this test run
            warn(message, module)


def test_further_calls_add_nothing() -> None:
    ignore_warnings(module="a_module", message="a message")
    before = list(warnings.filters)
    ignore_warnings(module="a_module", message="a message")
    assert list(warnings.filters) == before
