"""`report-gen demo`."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.model import config_file
from report_gen.records import BANNER
from tests.cli.conftest import Command


def test_the_demonstration(
    report_gen: Command, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_file, "EMBEDDED", checkpoint)
    answer = report_gen("demo", "-o", tmp_path / "demo")
    assert answer.code == 0
    kept = {path.suffix for path in (tmp_path / "demo").iterdir()}
    assert kept == {".dcm", ".png", ".txt"}
    picture_line, study_line, draft_line, _, banner = answer.out.splitlines()[:5]
    assert all(Path(line.split(maxsplit=1)[1]).is_file() for line in (picture_line, study_line, draft_line))
    assert banner == BANNER
    assert answer.out.endswith((tmp_path / "demo" / "draft.txt").read_text() + "\n")


def test_a_folder_that_is_a_file_is_refused(report_gen: Command, tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    answer = report_gen("demo", "-o", tmp_path / "demo")
    assert (answer.code, answer.out) == (5, "")
    assert "cannot be written" in answer.err
