"""Items of large JSON files, against the json module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.corpora import json_items
from report_gen.corpora.json_items import stream_array, stream_arrays
from report_gen.errors import CorpusError

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(items=st.lists(VALUES), indent=st.sampled_from([None, 1]), escape=st.booleans(), chunk=st.integers(1, 9))
def test_an_array_equals_that_of_json_for_any_chunk_size(
    tmp_path_factory: pytest.TempPathFactory, items: list[Any], indent: int | None, escape: bool, chunk: int
) -> None:
    file = tmp_path_factory.mktemp("array") / "items.json"
    file.write_text(json.dumps(items, indent=indent, ensure_ascii=escape).replace("\0", ""), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "_CHUNK", chunk)
        assert list(stream_array(file)) == json.loads(file.read_text(encoding="utf-8"))


def test_arrays_of_an_object_with_their_names(tmp_path: Path) -> None:
    file = tmp_path / "splits.json"
    file.write_text('\n {"train" : [ 1, [2] ], "val": [], "note": "x",\n"test": [{"a": 3}]} ')
    read = [(name, items if items is None else list(items)) for name, items in stream_arrays(file)]
    assert read == [("train", [1, [2]]), ("val", []), ("note", None), ("test", [{"a": 3}])]
    assert [name for name, _ in stream_arrays(file)] == ["train", "val", "note", "test"]


def test_an_item_is_yielded_before_the_rest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "items.json"
    file.write_text("[1, " + " " * 10**6 + "nonsense")
    items = stream_array(file)
    assert next(items) == 1
    with pytest.raises(CorpusError, match="invalid JSON near line 1"):
        next(items)


@pytest.mark.parametrize("stream", [stream_array, stream_arrays])
@pytest.mark.parametrize(
    "text",
    ["", "7", "[1", "[1,", "[1 2]", "[1]]", "[1] [2]", "{", '{"a"', '{"a": [1}', '{"a": [1]', "{]", '{"a": [1],,}'],
)
def test_incomplete_json_is_refused(tmp_path: Path, text: str, stream: Callable[[Path], Iterator[Any]]) -> None:
    (tmp_path / "items.json").write_text(text)
    with pytest.raises(CorpusError, match=r"items\.json: invalid JSON near line 1 \("):
        list(stream(tmp_path / "items.json"))


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        ('{"c": {"a": 1, "a": 1}}', "the key 'a' occurs twice"),
        ("[" * 100_000, "recursion"),
        ('{"a":' * 100_000, "recursion"),
        ("9" * 5000, "4300 digits"),
    ],
)
def test_doubled_keys_and_deep_nesting_are_refused(tmp_path: Path, item: str, reason: str) -> None:
    (tmp_path / "items.json").write_text(f"[1, {item}]")
    with pytest.raises(CorpusError, match=rf"items\.json: invalid JSON near line 1 \(.*{reason}"):
        list(stream_array(tmp_path / "items.json"))


def test_an_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text("[\n1,\n2,\n3 4]")
    with pytest.raises(CorpusError, match="near line 4"):
        list(stream_array(tmp_path / "items.json"))


def test_an_item_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "LONGEST_ITEM", 100)
    monkeypatch.setattr(json_items, "_CHUNK", 10)
    (tmp_path / "items.json").write_text('["' + "x" * 1000)
    with pytest.raises(CorpusError, match="an item has no end"):
        list(stream_array(tmp_path / "items.json"))
