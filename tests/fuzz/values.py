"""Strategies of values that texts in JSON, TOML, CSV and DICOM may have where another value is expected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ODD_TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ("", " ", "\0", "../../x", "/dev/zero", "NaN", "\u202e\x1b[31m", "\ud800", "x" * 300, "{}", "1e999")
    ),
)
ODD_NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from((0, -1, 2**31, 2**63, 2**64, 10**30, 10**400, 1e308, 5e-324)),
)
SCALARS: SearchStrategy[Any] = st.one_of(st.none(), st.booleans(), ODD_NUMBERS, ODD_TEXTS)
VALUES: SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_TEXTS, inner, max_size=3), max_leaves=6
)
"""What a JSON document may contain."""


def to_json(value: Any) -> bytes:
    """Return a value as JSON, lone surrogates as escapes."""
    return json.dumps(value).encode()


@st.composite
def changed_trees(draw: st.DrawFn, tree: Any) -> Any:
    """Draw a copy of a JSON document in which one to three values or keys are replaced, repeated or removed."""
    copied = json.loads(json.dumps(tree))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(copied))
        if not places:
            return draw(VALUES)
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(("replace", "remove", "rename", "repeat")))
        if change == "replace" or (isinstance(holder, list) and change == "rename"):
            holder[key] = draw(VALUES)
        elif change == "remove":
            del holder[key]
        elif change == "rename":
            holder[draw(ODD_TEXTS)] = holder.pop(key)
        else:
            holder[key] = [json.loads(json.dumps(holder[key]))] * draw(st.integers(0, 4))
    return copied


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a document as its container and its key or index."""
    if isinstance(tree, dict | list):
        for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
            yield tree, key
            yield from _places(value)


TOML_VALUES = st.one_of(
    SCALARS.filter(lambda value: value is not None and not isinstance(value, str)).map(
        lambda value: str(value).lower()
    ),
    ODD_TEXTS.map(json.dumps),
    st.sampled_from(("1979-05-27", "07:32:00", "[]", "[[]]", "{}", "{a = 1}", "[1, 'a']", "[''] ", "'''a'''", "= 1")),
    st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth),
)
"""Literals of TOML, and texts that are none."""


@st.composite
def changed_toml(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a TOML text in which one to three lines are changed, doubled or removed."""
    lines = content.decode().splitlines()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[place].partition("=")
        change = draw(st.sampled_from(("value", "value", "value", "key", "double", "remove")))
        if change == "value" and equals:
            lines[place] = f"{key}= {draw(TOML_VALUES)}"
        elif change == "key":
            lines[place] = lines[place].replace(key.strip(" []") or "x", json.dumps(draw(ODD_TEXTS)))
        elif change == "double":
            lines.insert(place, lines[place])
        elif len(lines) > 1:
            del lines[place]
    return "\n".join(lines).encode(errors="surrogatepass")
