"""`read_csv` and `read_json_rows`: accepted and refused files."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import pytest

from report_gen.corpora.tables import read_csv, read_header, read_json_rows
from report_gen.errors import CorpusError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "table"


def test_csv_with_a_byte_order_mark_quotes_and_line_ends_in_a_text(file: Path) -> None:
    file.write_bytes('\ufeffid,text\r\n1," Clear, ""well"".\nStable.\u2028 "\r\n'.encode())
    assert list(read_csv(file, columns=("id",))) == [{"id": "1", "text": 'Clear, "well".\nStable.'}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"id\n1\n", "no column 'text'; this layout needs id, text"),
        (b"", "no column 'id'"),
        (b"id,text\n1,a\n2,Clear, well\n", "row 2 does not have as many values"),
        (b"id,text\n1\n", "row 1 does not have as many values"),
        (b'id,text\n1,"a"b\n', "invalid CSV near line 2"),
        (b'id,text\n1,"open\n', "invalid CSV"),
        (b"id,text\n1," + b"a" * 200_000 + b"\n", "field larger"),
        (b"id,text\n1,\0\n", "NUL bytes"),
        (b"id,text\n1,\xff\n", "not UTF-8"),
    ],
)
def test_faulty_csv_is_refused_with_its_name(file: Path, data: bytes, message: str) -> None:
    file.write_bytes(data)
    with pytest.raises(CorpusError, match=f"{file}: .*{message}"):
        list(read_csv(file, columns=("id", "text")))


def test_json_rows_from_lines_and_from_an_array(file: Path) -> None:
    file.write_text('{"a": 1}\n\n{"a": "\u2028"}\n', encoding="utf-8")
    assert list(read_json_rows(file)) == [{"a": 1}, {"a": "\u2028"}]
    file.write_text('[{"a": 1},\n {"a": 2}]', encoding="utf-8")
    assert list(read_json_rows(file)) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"a": 1}\n{"a"', "line 2 is not valid JSON"),
        ('{"a": 1}\n7', "object 2 is not a JSON object"),
        ("[7]", "item 1 is not a JSON object"),
        ("[" * 100_000, "invalid JSON"),
    ],
)
def test_faulty_json_rows_are_refused_with_their_file(file: Path, data: str, message: str) -> None:
    file.write_text(data, encoding="utf-8")
    with pytest.raises(CorpusError, match=f"{file}: .*{message}"):
        list(read_json_rows(file))


def test_unreadable_files_are_refused_with_their_name(file: Path) -> None:
    with pytest.raises(CorpusError, match=f"{file}: cannot be read"):
        list(read_csv(file))
    with pytest.raises(CorpusError, match=f"{file.parent}: cannot be read"):
        list(read_json_rows(file.parent))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("id,text", ("id", "text")),
        ("id;text", ("id", "text")),
        ("id\ttext, long\tview", ("id", "text, long", "view")),
        ("id|text", ("id", "text")),
        ('"id; number",text', ("id; number", "text")),
        ("text", ("text",)),
    ],
)
def test_the_separator_is_detected(tmp_path: Path, header: str, columns: tuple[str, ...]) -> None:
    (tmp_path / "table.csv").write_text(f"{header}\n")
    assert read_header(tmp_path / "table.csv") == columns


@pytest.mark.parametrize("part", ['{"a":', '","', "';'", '"" '])
def test_a_header_of_quotation_marks_takes_linear_time(tmp_path: Path, part: str) -> None:
    (tmp_path / "table.csv").write_text(part * 20_000)
    start = process_time()
    read_header(tmp_path / "table.csv")
    assert process_time() - start < 5
