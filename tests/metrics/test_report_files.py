"""Report files: every layout, and one sentence for each kind of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_gen.errors import CorpusError, UsageError
from report_gen.metrics import report_files
from report_gen.metrics.joining import join_files
from report_gen.metrics.report_files import is_annotation, list_ids, read_reports

EXPECTED = {"a": "Clear lungs.", "b": "No effusion, really."}
RECORDS = [{"id": name, "report": text} for name, text in EXPECTED.items()]
CSV = 'id,report\na,Clear lungs.\nb,"No effusion, really."\n'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", CSV),
        ("x.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("x.csv", CSV.replace("\n", "\r\n")),
        ("x.csv", 'report,Study_ID\nClear lungs.,a\n"No effusion, really.",b\n'),
        ("x.tsv", "uid\ttext\na\tClear lungs.\nb\tNo effusion, really.\n"),
        ("x.csv", "uid;text\na;Clear lungs.\nb;No effusion, really.\n"),
        ("x.csv", "sep=;\nuid;text\na;Clear lungs.\nb;No effusion, really.\n"),
        ("x.jsonl", "\n".join(json.dumps(record) for record in RECORDS) + "\n\n"),
        ("x.json", json.dumps(RECORDS)),
        ("x.json", json.dumps(EXPECTED)),
        ("x.json", json.dumps({"train": [], "test": RECORDS})),
    ],
)
def test_every_layout_gives_the_same_reports(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert read_reports(write(tmp_path / name, content)) == EXPECTED


def test_plain_lines_have_their_numbers_as_ids_and_keep_empty_drafts(tmp_path: Path) -> None:
    assert read_reports(write(tmp_path / "x.txt", "Clear.\n\nNormal.\n")) == {"1": "Clear.", "2": "", "3": "Normal."}


def test_numbers_serve_as_ids_and_fields_may_hold_line_breaks(tmp_path: Path) -> None:
    assert read_reports(write(tmp_path / "x.jsonl", '{"study_id": 7, "text": "Clear."}')) == {"7": "Clear."}
    assert read_reports(write(tmp_path / "x.csv", 'id,report\n7,"Clear.\nNormal."\n')) == {"7": "Clear.\nNormal."}


def test_each_side_finds_its_own_column(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "id,reference,prediction\na,Clear.,Normal.\n")
    assert read_reports(path, role="prediction") == {"a": "Normal."}
    assert read_reports(path, role="reference") == {"a": "Clear."}


def test_an_annotation_has_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", json.dumps({"train": RECORDS[:1], "val": [], "test": RECORDS[1:]}))
    assert is_annotation(path)
    assert read_reports(path, split="train") == {"a": "Clear lungs."}
    assert not is_annotation(write(tmp_path / "y.json", json.dumps(EXPECTED)))
    assert not is_annotation(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "number,report\na,Clear.\n", "no column for the id among number, report; name it with --id-column"),
        ("x.csv", "id,words\na,Clear.\n", "no column for the report text"),
        ("x.csv", "id,report\na,Clear.\n,Normal.\n", "entry 2 has no usable id"),
        ("x.jsonl", '{"id": "a", "report": "x"}\n{"id": [1], "report": "y"}', "entry 2 has no usable id"),
        ("x.jsonl", '{"id": "a\\u001b[2J", "report": "x"}', "entry 1 has no usable id"),
        ("x.csv", "id,report\na,nan\n", "entry 1 has no text"),
        ("x.csv", "id,report\na\n", "entry 1 has no text"),
        ("x.jsonl", '{"id": "a", "report": NaN}', "entry 1 has no text"),
        ("x.csv", b"id,report\na,\xe9panchement\n", "not UTF-8"),
        ("x.csv", "id,report\na,Clear.\na,Normal.\n", r"1 id \(a\) more than once"),
        ("x.csv", "id,report\n", "contains no reports"),
        ("x.csv", "", "contains no reports"),
        ("x.jsonl", '{"id": "a", "report": ', "damaged"),
        ("x.jsonl", "[1]", "entry 1 is not an object"),
        ("x.json", '{"train": []}', "has no split 'test', only train"),
        ("x.json", "3", "neither an annotation.json nor a list"),
        ("x.json", "[" * 100_000, "damaged"),
        ("x.csv", 'id,report\na,"Clear.\n', "damaged"),
        ("x.parquet", "", "names no known format"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_reports(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    for name in ("none.csv", "none"):
        with pytest.raises(CorpusError, match="there is no such file"):
            read_reports(tmp_path / name)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_files, "_LONGEST_LINE", 1000)
    monkeypatch.setattr(report_files, "_LARGEST_JSON", 1000)
    for name, message in (("x.jsonl", "line 1 is longer"), ("x.csv", "line 1 is longer"), ("x.json", "larger than")):
        with pytest.raises(CorpusError, match=message):
            read_reports(write(tmp_path / name, "x" * 1001))


def test_the_same_file_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", CSV)
    with pytest.raises(UsageError, match="both as predictions and as references"):
        join_files(path, path)


def pair(tmp_path: Path, predictions: str, references: str = CSV) -> tuple[Path, Path]:
    return write(tmp_path / "p.csv", predictions), write(tmp_path / "r.csv", references)


def test_files_are_joined_by_id_in_the_references_order(tmp_path: Path) -> None:
    joined = join_files(*pair(tmp_path, "id,report\nb,Two.\na,One.\n"))
    assert joined.ids == ("a", "b")
    assert joined.predictions == ("One.", "Two.")
    assert joined.notices == ()


def test_missing_and_unknown_ids_stop_unless_allowed(tmp_path: Path) -> None:
    files = pair(tmp_path, "id,report\na,One.\nz,Two.\n")
    with pytest.raises(CorpusError, match=r"no prediction for 1 id \(b\) and no reference for 1 id \(z\); --allow"):
        join_files(*files)
    joined = join_files(*files, allow_missing=True)
    assert joined.ids == ("a",)
    assert joined.notices == ("no prediction for 1 id (b)", "no reference for 1 id (z)")


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ("id,report\nx,One.\ny,Two.\n", "no id in common with the references"),
        ("id,report\na,\nb,\n", "every prediction is empty"),
        ("id,report\na,One.\n", "no prediction for 1 id"),
    ],
)
def test_files_that_do_not_fit_together(tmp_path: Path, predictions: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        join_files(*pair(tmp_path, predictions))


def test_empty_predictions_are_scored_and_counted(tmp_path: Path) -> None:
    assert join_files(*pair(tmp_path, "id,report\na,\nb,Two.\n")).notices == (
        "1 of 2 predictions are empty and score 0",
    )


def test_an_unknown_id_alone_stops_too(tmp_path: Path) -> None:
    files = pair(tmp_path, "id,report\na,One.\nb,Two.\nz,Three.\n")
    with pytest.raises(CorpusError, match=r"p\.csv: no reference for 1 id \(z\); --allow-missing"):
        join_files(*files)
    assert join_files(*files, allow_missing=True).ids == ("a", "b")


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 id (0)"), (5, "5 ids (0, 1, 2, 3, 4)"), (6, "6 ids (0, 1, 2, 3, 4 and 1 more)")],
)
def test_messages_list_at_most_five_ids(count: int, text: str) -> None:
    assert list_ids([str(number) for number in range(count)]) == text


def test_many_ids_are_named_in_part(tmp_path: Path) -> None:
    references = "id,report\n" + "".join(f"n{i},Clear.\n" for i in range(9))
    with pytest.raises(CorpusError, match=r"8 ids \(n1, n2, n3, n4, n5 and 3 more\)"):
        join_files(*pair(tmp_path, "id,report\nn0,Clear.\n", references))
