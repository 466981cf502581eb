"""`report-gen draft -o DIR --resume`: a batch that was stopped goes on, and no edited draft is replaced silently."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.cli import draft_batch
from report_gen.drafting import CheckpointSource, Drafter, DraftRequest, StudyLimits
from report_gen.errors import StudyError
from report_gen.model import Tuning
from report_gen.outputs.journal import JOURNAL
from report_gen.records import Report
from tests.builders import noise_image, tiny_config, tiny_model, write_checkpoint, write_png
from tests.cli.conftest import Command
from tests.cli.test_start import MODEL_LIBRARIES, loaded_modules
from tests.dicom_files import write_dicom


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder with three studies."""
    for number in range(3):
        write_png(tmp_path / "in" / f"study-{number}" / "chest.png", noise_image(number))
    return tmp_path / "in"


@pytest.fixture
def out(draft: Command, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the drafts of two of the three studies: the batch was stopped."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert draft(studies / "study-0", studies / "study-1", "-o", tmp_path / "out", "--quiet").code == 0
    return tmp_path / "out"


@pytest.fixture
def drafted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the studies that reach the drafter, which drafts none."""
    names: list[str] = []

    def draft_all(self: Drafter, requests: list[DraftRequest], **_: Any) -> Iterator[StudyError]:
        names.extend(request.study.name for request in requests)
        return iter([StudyError(request.study.path, "not drafted") for request in requests])

    monkeypatch.setattr(Drafter, "draft_all", draft_all)
    return names


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != JOURNAL}


def test_a_stopped_batch_goes_on(draft: Command, studies: Path, out: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.iterdir() if path.name != JOURNAL}
    answer = draft(studies, "-o", out, "--resume")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("report-gen: notice: 2 of 3 studies were drafted before\n")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert draft(studies, "-o", tmp_path / "undisturbed").code == 0
    assert contents(out) == contents(tmp_path / "undisturbed")


def test_a_complete_batch_decodes_no_image_and_loads_no_library_for_models(
    checkpoint: Path, studies: Path, out: Path
) -> None:
    command = ["draft", str(studies / "study-0"), "-o", str(out), "--resume", "--checkpoint", str(checkpoint)]
    assert not loaded_modules([*command, "--candidates", "1"]) & (MODEL_LIBRARIES | {"scipy", "skimage"})


@pytest.mark.parametrize(
    "options",
    [
        ("--seed", 1),
        ("--method", "greedy"),
        ("--candidates", 2),
        ("--indication", "Cough"),
        ("--finding", "Edema=present"),
        ("--view", "PA"),
        ("--force",),
        ("--dtype", "bfloat16"),
        ("--format", "json"),
    ],
)
def test_other_options_draft_again(
    draft: Command, studies: Path, out: Path, drafted: list[str], options: tuple[object, ...]
) -> None:
    draft(studies, "-o", out, "--resume", *options)
    assert drafted == ["study-0", "study-1", "study-2"]


def test_the_location_of_a_finding_decides_what_is_drafted_again(
    report_gen: Command, studies: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The order of the zones does not matter; another side is another draft."""
    model = tiny_model(tiny_config(locations={"trained": (True,) * 17}))
    checkpoint = write_checkpoint(tmp_path / "locating", model=model)
    command = ["draft", studies, "-o", tmp_path / "places", "--candidates", 1, "--checkpoint", checkpoint]
    assert report_gen(*command, "--finding", "Edema=present:left lower upper").code == 0
    drafted: list[str] = request.getfixturevalue("drafted")  # from here on no study is drafted
    report_gen(*command, "--resume", "--finding", "Edema=present:upper left lower")
    assert drafted == []
    report_gen(*command, "--resume", "--finding", "Edema=present:right lower upper")
    assert drafted == ["study-0", "study-1", "study-2"]


@pytest.mark.parametrize("options", [("--batch-size", 1), ("--max-views", 3), ("--timeout", 0), ("--device", "cpu")])
def test_options_that_change_no_text_do_not_matter(
    draft: Command, studies: Path, out: Path, drafted: list[str], options: tuple[object, ...]
) -> None:
    draft(studies, "-o", out, "--resume", *options)
    assert drafted == ["study-2"]


def test_other_images_weights_and_releases_draft_again(
    report_gen: Command,
    draft: Command,
    studies: Path,
    out: Path,
    drafted: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = write_checkpoint(tmp_path / "other", model=tiny_model(tiny_config(), seed=1))
    report_gen("draft", studies, "-o", out, "--resume", "--candidates", 1, "--checkpoint", other)
    assert drafted == ["study-0", "study-1", "study-2"]
    drafted.clear()
    write_png(studies / "study-0" / "chest.png", noise_image(9))
    draft(studies, "-o", out, "--resume")
    assert drafted == ["study-0", "study-2"]
    drafted.clear()
    monkeypatch.setattr("report_gen.__version__", "0.9")
    draft(studies, "-o", out, "--resume")
    assert drafted == ["study-0", "study-1", "study-2"]


def test_an_edited_draft_is_kept_and_said(draft: Command, studies: Path, out: Path) -> None:
    (out / "study-1.txt").write_text("signed")
    answer = draft(studies, "-o", out, "--resume")
    assert answer.code == 0
    assert "notice: 2 of 3 studies were drafted before\n" in answer.err
    assert f"changed since they were written: 1, such as {out / 'study-1.txt'}; all are kept, and" in answer.err
    assert (out / "study-1.txt").read_text() == "signed"
    answer = draft(studies, "-o", out, "--resume", "--seed", 1)  # another request, which the edited draft is not
    assert answer.code == 3
    assert answer.err.splitlines()[-2].startswith(f"report-gen: {out / 'study-1.txt'}: was edited, so it is kept")
    assert (out / "study-1.txt").read_text() == "signed"


def test_without_resume_only_unchanged_drafts_are_replaced(draft: Command, studies: Path, out: Path) -> None:
    first = contents(out)
    (out / "study-1.txt").write_text("signed")
    answer = draft(studies / "study-0", studies / "study-1", "-o", out, "--seed", 1)
    assert answer.code == 3
    assert f"{out / 'study-1.txt'}: was edited, so it is kept; move it away" in answer.err
    assert "1; studies refused: 1" in answer.err
    assert contents(out)["study-1.txt"] != first["study-1.txt"]
    (out / "study-1.txt").unlink()
    assert draft(studies / "study-0", studies / "study-1", "-o", out).code == 0
    assert contents(out) == first


def test_a_file_of_another_origin_is_kept_and_costs_its_study_only(
    draft: Command, studies: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study-1.txt").write_text("mine")
    answer = draft(studies, "-o", tmp_path / "out", "--resume")
    assert answer.code == 3
    assert (tmp_path / "out" / "study-1.txt").read_text() == "mine"
    assert sorted(contents(tmp_path / "out")) == ["study-0.txt", "study-1.txt", "study-2.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--resume",), "name the folder with --output"),
        (("--resume", "-o", "out", "--attention", "a.png"), "--attention draws one study, and --resume may skip it"),
        (("--max-views", 0), "max-views"),
        (("--timeout", -1), "timeout"),
    ],
)
def test_a_call_that_cannot_be_understood(
    draft: Command, studies: Path, options: tuple[object, ...], message: str
) -> None:
    answer = draft(studies / "study-0", *options)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def stop_after(number: int, monkeypatch: pytest.MonkeyPatch, received: signal.Signals) -> None:
    """Let a signal arrive when the drafter has drafted some studies and works on the next."""
    draft_all = Drafter.draft_all

    def stopped(*arguments: Any, **options: Any) -> Iterator[Report | StudyError]:
        for count, result in enumerate(draft_all(*arguments, **options)):
            if count == number:
                os.kill(os.getpid(), received)
            yield result

    monkeypatch.setattr(Drafter, "draft_all", stopped)


@pytest.mark.parametrize(("received", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_loses_no_finished_draft(
    draft: Command, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, received: signal.Signals, code: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(2, patch, received)
        answer = draft(studies, "-o", tmp_path / "out", "--batch-size", 1)
    assert answer.code == code
    assert answer.err.endswith("every file that was written is complete; --resume drafts the remaining studies\n")
    assert sorted(contents(tmp_path / "out")) == ["study-0.txt", "study-1.txt"]
    assert "2 of 3 studies were drafted before" in draft(studies, "-o", tmp_path / "out", "--resume").err
    assert len(contents(tmp_path / "out")) == 3


def test_a_checkpoint_that_is_replaced_while_it_is_loaded_drafts_nothing(
    report_gen: Command, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, load = write_checkpoint(tmp_path / "run"), CheckpointSource.load

    def replaced(source: CheckpointSource, **options: Any) -> Any:
        write_checkpoint(source.folder, model=tiny_model(tiny_config(), seed=1))
        return load(source, **options)

    monkeypatch.setattr(CheckpointSource, "load", replaced)
    answer = report_gen("draft", studies, "-o", tmp_path / "out", "--checkpoint", checkpoint)
    assert answer.code == 4
    assert f"{checkpoint}: was replaced while it was loaded; draft again" in answer.err
    assert contents(tmp_path / "out") == {}


def test_the_limits_of_a_study_reach_the_drafter(
    draft: Command, studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[StudyLimits] = []

    def draft_all(
        self: Drafter, requests: list[DraftRequest], *, limits: StudyLimits, **_: Any
    ) -> Iterator[StudyError]:
        given.append(limits)
        return iter([StudyError(request.study.path, "not drafted") for request in requests])

    monkeypatch.setattr(Drafter, "draft_all", draft_all)
    for options in ((), ("--timeout", 0, "--max-views", 20)):
        draft(studies / "study-0", *options)
    assert given == [StudyLimits(seconds=300), StudyLimits(max_views=20)]


def test_a_study_of_too_many_views_is_refused_without_loading_the_model(
    report_gen: Command, draft: Command, tmp_path: Path
) -> None:
    for number in (1, 2):
        image = noise_image(number).astype(np.uint16)
        write_dicom(tmp_path / "study" / f"{number}.dcm", image, SOPInstanceUID=f"1.2.{number}")
    answer = draft(tmp_path / "study", "--max-views", 1)
    assert (answer.code, answer.out) == (3, "")
    assert "[image-count]: 2 images in one study, and the limit is 1; give fewer" in answer.err


def test_every_document_of_a_study_has_the_limit_of_the_draft(draft: Command, tmp_path: Path) -> None:
    """The scope of the model allows 16 images; the attention and the preprocessing are computed after the draft."""
    for number in range(17):
        image = noise_image(number).astype(np.uint16)
        write_dicom(tmp_path / "study" / f"{number}.dcm", image, SOPInstanceUID=f"1.2.{number + 1}")
    drawings = ("--attention", tmp_path / "attention.png", "--show-preprocessing", tmp_path / "steps.png")
    answer = draft(tmp_path / "study", "--format", "html", *drawings, "--max-views", 17)
    assert answer.code == 0, answer.err
    assert answer.out.startswith("<!DOCTYPE html>")
    assert {path.name for path in tmp_path.iterdir()} == {"study", "attention.png", "steps.png"}


def test_a_hostile_rescale_refuses_its_study_only(draft: Command, tmp_path: Path) -> None:
    for number, rescale in enumerate(("1", "1e308", "1")):
        rescaled = {"RescaleSlope": rescale, "RescaleIntercept": rescale, "StudyInstanceUID": f"1.2.3.{number + 1}"}
        write_dicom(tmp_path / "in" / f"{number}.dcm", noise_image(number).astype(np.uint16), **rescaled)
    answer = draft(tmp_path / "in", "-o", tmp_path / "out", "--batch-size", 3)
    assert answer.code == 3
    assert len([path for path in (tmp_path / "out").iterdir() if path.name != JOURNAL]) == 2
    assert "1.dcm: malformed: Rescale Slope and Rescale Intercept give pixel values beyond 1e+18; correct" in answer.err
    assert "Warning" not in answer.err


def test_stops_at_random_moments_lose_and_double_nothing() -> None:
    """SIGKILL, SIGTERM and SIGINT; the command of fifty stops is `python -m tests.kill_drafts`."""
    command = [sys.executable, "-m", "tests.kill_drafts", "--moments", "3", "--studies", "16"]
    folder = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("^3 stops, 16 studies, 0 faults$", done.stdout, re.MULTILINE)


def test_drafts_of_another_tuned_type_are_not_current(
    draft: Command, studies: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drafted: list[str]
) -> None:
    """`report-gen bench --tune` chose 8-bit weights since the first drafts: all three studies are drafted with them."""
    monkeypatch.setattr(draft_batch, "find_tuning", lambda _: Tuning(dtype="int8", threads=1))
    draft(studies, "-o", out, "--resume", "--quiet")
    assert sorted(drafted) == ["study-0", "study-1", "study-2"]
    drafted.clear()
    draft(studies, "-o", out, "--resume", "--quiet", "--dtype", "float32")
    assert drafted == ["study-0", "study-1", "study-2"]  # the command asked for `auto` before
    drafted.clear()
    monkeypatch.setattr(draft_batch, "find_tuning", lambda _: Tuning(dtype="float32", threads=2))
    draft(studies, "-o", out, "--resume", "--quiet")
    assert drafted == ["study-2"]
