"""`report-gen draft` of archives, volumes and cines with a model for radiographs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from report_gen.errors import StudyError
from report_gen.records import BANNER
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
from tests.volume_files import enhanced, slices


def archive(path: Path, *files: Path) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        for file in files:
            target.write(file, file.name)
    return path


def test_the_studies_of_an_archive_are_drafted_and_its_files_removed(
    draft: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    path = archive(tmp_path / "exam.zip", write_png(tmp_path / "chest.png", noise_image()))
    answer = draft(path, "-o", tmp_path / "out")
    assert answer.code == 0
    assert (tmp_path / "out" / "exam.txt").read_text().startswith(BANNER)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert draft(path, "-o", tmp_path / "out", "--resume").code == 0


def test_messages_name_the_archive(draft: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04")
    path = archive(tmp_path / "exam.zip", tmp_path / "broken.png")
    answer = draft(path, tmp_path / "damaged.zip", write_png(tmp_path / "good.png", noise_image()))
    assert answer.code == StudyError.exit_code
    assert answer.out.startswith(BANNER)
    lines = answer.err.splitlines()
    assert f"report-gen: {path}/broken.png: the image is broken or truncated; copy or export it again" in lines
    assert f"report-gen: {tmp_path}/damaged.zip: the ZIP archive is damaged; copy or export it again" in lines


def test_frames_are_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    """The refusal of a hundred frames of a radiograph loads none of them, and no PyTorch."""
    path = tmp_path / "frames.dcm"
    enhanced(slices(100), Modality="DX", BodyPartExamined="CHEST").save_as(path)
    code = (
        "import sys; from report_gen.cli import main\n"
        f"sys.argv = ['report-gen', 'draft', {str(path)!r}]\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (StudyError.exit_code, "False\n")
    reason = "100 slices or frames in one study; volumes and cines are not supported, give one image"
    assert run.stderr == f"report-gen: {path}: outside the scope of the model [volume]: {reason}\n"
