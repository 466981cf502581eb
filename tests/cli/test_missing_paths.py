"""Paths of `report-gen draft` that do not exist: words of a value without quotes, and URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.cli.missing_paths import report_missing_paths
from report_gen.errors import CheckpointError, CorpusError, OutputError, StudyError, UsageError
from report_gen.imaging import read_study
from report_gen.records import BANNER
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command

URL = "https://pacs.example/studies/1.dcm"


@pytest.mark.parametrize(
    ("arguments", "quoted"),
    [
        (("--finding", "Edema=present:left", "lower"), "Edema=present:left lower"),
        (("--finding=Edema=present:left", "mid", "LOWER"), "Edema=present:left mid LOWER"),
    ],
)
def test_a_location_without_quotes_is_refused_before_a_draft(
    draft: Command, tmp_path: Path, arguments: tuple[str, ...], quoted: str
) -> None:
    answer = draft(write_png(tmp_path / "a.png", noise_image()), *arguments)
    assert (answer.code, answer.out) == (UsageError.exit_code, "")
    expected = f'--finding {quoted}: a value with spaces needs quotes; write --finding "{quoted}"'
    assert answer.err == f"report-gen: {expected}\n"


def test_a_file_with_the_name_of_a_side_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["draft", "--finding", "Edema=present:right", "left"]
    with pytest.raises(UsageError):
        report_missing_paths([Path("left")], arguments)
    Path("left").touch()
    report_missing_paths([Path("left")], arguments)
    assert capsys.readouterr().err == ""


def test_a_finding_whose_name_is_not_in_quotes(draft: Command, tmp_path: Path) -> None:
    answer = draft(write_png(tmp_path / "a.png", noise_image()), "--finding", "Pleural", "Effusion=present")
    assert (answer.code, answer.out) == (UsageError.exit_code, "")
    assert "--finding 'Pleural': write NAME=STATE" in answer.err
    assert "in quotes if it contains a space" in answer.err


@pytest.mark.parametrize("option", ["--indication", "--technique", "--comparison"])
def test_other_words_without_quotes_are_named_before_the_draft_of_the_others(
    draft: Command, tmp_path: Path, option: str
) -> None:
    answer = draft(write_png(tmp_path / "a.png", noise_image()), option, "Cough", "and", "fever.")
    assert (answer.code, answer.out.count(BANNER)) == (StudyError.exit_code, 1)
    first, *_, last = answer.err.splitlines()
    assert first == (
        "report-gen: notice: 2 of 3 paths do not exist, the first: and: does not exist; check the path; if it belongs "
        f'to the value of {option}, put the whole value in quotes: {option} "..."'
    )
    assert last == "report-gen: fever.: does not exist; check the path"


def test_a_missing_path_is_named_at_once_and_the_others_are_drafted(draft: Command, tmp_path: Path) -> None:
    present, absent = write_png(tmp_path / "a.png", noise_image()), tmp_path / "absent.png"
    answer = draft(absent, present)
    assert (answer.code, answer.out.count(BANNER)) == (StudyError.exit_code, 1)
    message = f"{absent}: does not exist; check the path"
    assert answer.err == f"report-gen: notice: {message}\nreport-gen: {message}\n"


def test_a_missing_path_alone_is_named_once(draft: Command, tmp_path: Path) -> None:
    answer = draft(tmp_path / "absent.png")
    assert (answer.code, answer.out) == (StudyError.exit_code, "")
    assert answer.err == f"report-gen: {tmp_path / 'absent.png'}: does not exist; check the path\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("draft", URL), StudyError.exit_code),
        (("draft", "{image}", "--prior", URL), StudyError.exit_code),
        (("draft", "{image}", "--prior", "{image}", "--prior-report", URL), StudyError.exit_code),
        (("draft", "{image}", "-o", "{folder}", "--revises", URL), StudyError.exit_code),
        (("draft", "{image}", "--checkpoint", URL), CheckpointError.exit_code),
        (("series", URL), StudyError.exit_code),
        (("send", URL, "--to", "A@127.0.0.1:9"), StudyError.exit_code),
        (("score", URL, URL), CorpusError.exit_code),
        (("corpus", "check", URL), CorpusError.exit_code),
    ],
)
def test_a_url_is_said_to_be_one(
    report_gen: Command, tmp_path: Path, arguments: tuple[str, ...], exit_code: int
) -> None:
    image = write_png(tmp_path / "a.png", noise_image())
    answer = report_gen(*(text.format(image=image, folder=tmp_path / "out") for text in arguments))
    assert (answer.code, answer.out) == (exit_code, "")
    assert f"{URL}: is a URL, and only files on this computer are read; download it" in answer.err
    assert "https:/p" not in answer.err


def test_a_url_is_no_folder_for_drafts(draft: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = draft(write_png(tmp_path / "a.png", noise_image()), "-o", "https://pacs.example/drafts")
    assert (answer.code, answer.out) == (OutputError.exit_code, "")
    assert "https://pacs.example/drafts: cannot be written, because it is a URL" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_url_in_python() -> None:
    with pytest.raises(StudyError, match=f"^{URL}: is a URL"):
        read_study(URL)


@pytest.mark.parametrize("path", ["C:/studies/1.dcm", "C:\\studies\\1.dcm", "study:1.dcm", "a/https:/b", "https:/"])
def test_other_paths_are_not_taken_for_urls(path: str) -> None:
    with pytest.raises(StudyError, match="does not exist; check the path"):
        read_study(path)
