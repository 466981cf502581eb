"""Writing TOML: the parser of Python reads what was written."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.toml_files import format_toml

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.one_of(
    _TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(_TEXT),
)
_TABLES = st.recursive(
    st.dictionaries(_TEXT, _VALUES, max_size=4),
    lambda tables: st.dictionaries(
        _TEXT, st.one_of(_VALUES, tables, st.lists(tables, min_size=1, max_size=2)), max_size=4
    ),
    max_leaves=8,
)


@given(_TABLES)
def test_content_is_read_as_it_was(content: dict[str, object]) -> None:
    assert tomllib.loads(format_toml(content)) == content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": 1, "b": {"c": "x"}, "d": None}, 'a = 1\n\n[b]\nc = "x"\n'),
        ({"e": [{"u": "a\nb"}, {"u": "\x7f"}]}, '[[e]]\nu = "a\\nb"\n\n[[e]]\nu = "\\u007f"\n'),
        ({"b": {}, "a b": True}, '"a b" = true\n\n[b]\n'),
    ],
)
def test_the_text(content: dict[str, object], expected: str) -> None:
    assert format_toml(content) == expected
