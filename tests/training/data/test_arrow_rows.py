"""Rows read from a file equal the rows written, in this process and in another."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from report_gen_training.data.arrow_rows import Rows, write_rows

from report_gen.errors import OutputError

SCHEMA = pa.schema([("number", pa.int64()), ("words", pa.list_(pa.string()))])
ROWS = [{"number": number, "words": ["a"] * (number % 3)} for number in range(2500)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_rows(tmp_path / "folder" / "rows.arrow", SCHEMA, iter(ROWS))
    return tmp_path / "folder" / "rows.arrow"


def test_rows_equal_those_written(path: Path) -> None:
    rows = Rows(path)
    assert list(rows) == ROWS
    assert [rows[index] for index in (0, 999, 1000, 2499)] == [ROWS[index] for index in (0, 999, 1000, 2499)]
    assert rows[998:1002] == ROWS[998:1002]
    assert rows.value(1001, "number") == 1001
    assert rows.column("number").to_pylist() == list(range(2500))


def test_another_process_maps_the_file_again(path: Path) -> None:
    packed = pickle.dumps(Rows(path))
    assert len(packed) < 1000
    assert pickle.loads(packed)[2499] == ROWS[2499]  # noqa: S301 - our own


@pytest.mark.parametrize("index", [2500, 10_000, -1])
def test_an_index_out_of_range_is_refused(path: Path, index: int) -> None:
    with pytest.raises(IndexError):
        Rows(path)[index]


def test_no_rows_at_all(tmp_path: Path) -> None:
    write_rows(tmp_path / "none.arrow", SCHEMA, [])
    rows = Rows(tmp_path / "none.arrow")
    assert (len(rows), list(rows), rows.column("number").to_pylist()) == (0, [], [])


def test_an_incomplete_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(pa.ArrowInvalid):
        Rows(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_sentence() -> None:
    with pytest.raises(OutputError, match=rf"/dev/full: cannot be written \({os.strerror(errno.ENOSPC)}\); free"):
        write_rows(Path("/dev/full"), SCHEMA, ROWS)
