"""`report-gen draft --workers N`: the same drafts for any N; killed, stopped and broken processes lose no draft."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from report_gen.outputs.journal import JOURNAL
from tests.builders import noise_image, write_png
from tests.cli.conftest import Command
from tests.dicom_files import write_dicom

PROGRAM = "from report_gen.cli import run; run()"
STUDIES = 20


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies: pictures, and every fourth a DICOM file."""
    folder = tmp_path_factory.mktemp("studies")
    for number in range(STUDIES):
        if number % 4:
            write_png(folder / f"study-{number:02}" / "chest.png", noise_image(number))
        else:
            uids = {"StudyInstanceUID": f"1.2.3.{number}", "SOPInstanceUID": f"1.2.3.{number}.1"}
            write_dicom(folder / f"study-{number:02}" / "chest.dcm", noise_image(number).astype(np.uint16), **uids)
    return folder


@pytest.fixture(autouse=True)
def _same_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def command(checkpoint: Path, studies: Path) -> list[str]:
    options = ["--checkpoint", str(checkpoint), "--candidates", "2", "--format", "txt", "--format", "json"]
    return ["draft", str(studies), *options]


@pytest.fixture(scope="module")
def undisturbed(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The drafts of a run in one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    environment = os.environ | {"SOURCE_DATE_EPOCH": "0", "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", PROGRAM, *command, "-o", str(folder), "--quiet"]
    subprocess.run(arguments, check=True, env=environment)
    drafts = contents(folder)
    assert len(drafts) == 2 * STUDIES
    return drafts


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != JOURNAL}


@pytest.mark.parametrize("options", [("--workers", 1), ("--workers", 2)])
def test_the_drafts_are_the_same_for_any_number_of_workers(
    report_gen: Command, command: list[str], undisturbed: dict[str, bytes], tmp_path: Path, options: tuple[object, ...]
) -> None:
    answer = report_gen(*command, "-o", tmp_path / "out", *options)
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.endswith(f"drafts written to {tmp_path / 'out'}: {STUDIES}; studies refused: 0\n")
    assert contents(tmp_path / "out") == undisturbed


def test_batches_are_the_same_with_workers(report_gen: Command, command: list[str], tmp_path: Path) -> None:
    for workers in (0, 2):
        options = ("--workers", workers, "--batch-size", 5, "--quiet")
        assert report_gen(*command, "-o", tmp_path / str(workers), *options).code == 0
    assert contents(tmp_path / "0") == contents(tmp_path / "2")


def test_standard_output_has_the_order_of_the_studies(
    report_gen: Command, checkpoint: Path, studies: Path, tmp_path: Path
) -> None:
    options = ("--checkpoint", checkpoint, "--candidates", 1)
    one, two = (report_gen("draft", studies, *options, "--workers", workers).out for workers in (0, 2))
    assert one == two
    assert one.count("=== ") == STUDIES


def test_a_broken_study_is_refused_and_the_others_are_drafted(
    report_gen: Command, checkpoint: Path, tmp_path: Path
) -> None:
    for number in range(3):
        write_png(tmp_path / "in" / f"study-{number}" / "chest.png", noise_image(number))
    path = tmp_path / "in" / "study-1" / "chest.png"
    path.write_bytes(path.read_bytes()[:-200])
    options = ("--checkpoint", checkpoint, "--candidates", 1, "-o", tmp_path / "out")
    answers = [report_gen("draft", tmp_path / "in", *options, "--workers", workers) for workers in (0, 1)]
    assert answers[0].code == answers[1].code == 3
    assert f"{path}: " in answers[1].err
    assert answers[0].err.splitlines()[-2:] == answers[1].err.splitlines()[-2:]
    assert sorted(contents(tmp_path / "out")) == ["study-0.txt", "study-2.txt"]


def test_a_checkpoint_that_cannot_be_loaded_ends_the_command(
    report_gen: Command, studies: Path, checkpoint: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in checkpoint.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    answer = report_gen("draft", studies, "--checkpoint", broken, "-o", tmp_path / "out", "--workers", 2)
    assert answer.code == 4
    assert "model.safetensors" in answer.err
    assert not (tmp_path / "out").exists() or contents(tmp_path / "out") == {}


@contextmanager
def started(command: list[str], output: Path, *options: str, drafts: int) -> Iterator[subprocess.Popen[str]]:
    """Start the command, and wait until it has written some drafts."""
    arguments = [sys.executable, "-c", PROGRAM, *command, "-o", str(output), *options]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            while process.poll() is None and not (output.exists() and len(list(output.glob("*.json"))) >= drafts):
                time.sleep(0.005)
            yield process
        finally:
            process.kill()


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the processes that draft: the children of the fork server."""
    return [
        worker
        for server in psutil.Process(process.pid).children()
        for worker in server.children()
        if worker.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_worker_that_is_killed_loses_no_draft_and_one_that_hangs_costs_at_most_its_study(
    command: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with started(command, tmp_path / "out", "--workers", "2", "--timeout", "5", drafts=1) as process:
        hanging, killed = workers_of(process)
        hanging.suspend()
        killed.kill()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err
    assert err.count("took longer than --timeout and did not stop by itself; check its files") == 1
    assert f": {STUDIES - 1}; studies refused: 1\n" in err
    drafts = contents(tmp_path / "out")
    assert len(drafts) == 2 * (STUDIES - 1)
    assert drafts.items() <= undisturbed.items()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_continues_with_resume(
    command: list[str],
    undisturbed: dict[str, bytes],
    report_gen: Command,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    """The signal reaches all processes, as Ctrl-C in a terminal and SIGTERM of SLURM do."""
    out = tmp_path / "out"
    with started(command, out, "--workers", "2", drafts=2) as process:
        os.killpg(process.pid, number)
        _, err = process.communicate(timeout=120)
        workers = [one for one in psutil.process_iter(["cmdline"]) if str(out) in " ".join(one.info["cmdline"] or ())]
    assert process.returncode == code, err
    assert err.endswith("every file that was written is complete; --resume drafts the remaining studies\n")
    assert "Traceback" not in err
    assert workers == []
    before = contents(out)
    assert len(before) % 2 == 0  # both files of a study
    assert 4 <= len(before) < 2 * STUDIES
    assert before.items() <= undisturbed.items()
    lines = (out / JOURNAL).read_text().splitlines()
    answer = report_gen(*command, "-o", out, "--workers", 2, "--resume")
    assert answer.code == 0
    assert f"{len(before) // 2} of {STUDIES} studies were drafted before" in answer.err
    assert contents(out) == undisturbed
    if number is signal.SIGTERM:  # it lets the command write what it has drafted
        assert len(lines) == len(before)
        assert len((out / JOURNAL).read_text().splitlines()) == 2 * STUDIES  # none is drafted twice


def test_the_process_that_writes_loads_no_model(command: list[str], tmp_path: Path) -> None:
    code = f"""
import sys
from report_gen.cli import app
sys.argv = ["report-gen", *{[*command, "-o", str(tmp_path / "out"), "--workers", "1", "--quiet"]!r}]
try:
    app.main()
except SystemExit as stop:
    assert not stop.code
print("torch" in sys.modules, "transformers" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_shards_draft_every_study_once(
    report_gen: Command, command: list[str], undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    drafts: dict[str, bytes] = {}
    for index in range(3):
        out = tmp_path / str(index)
        answer = report_gen(*command, "-o", out, "--shard", f"{index}/3")
        assert answer.code == 0
        of_shard = contents(out)
        assert f"notice: studies of shard {index}/3: {len(of_shard) // 2}\n" in answer.err
        assert 0 < len(of_shard) < len(undisturbed)
        assert not drafts.keys() & of_shard.keys()
        drafts |= of_shard
    assert drafts == undisturbed


def test_a_shard_without_studies_is_no_error(
    report_gen: Command, checkpoint: Path, studies: Path, tmp_path: Path
) -> None:
    answers = [
        report_gen(
            "draft", studies / "study-00", "--checkpoint", checkpoint, "-o", tmp_path / "out", "--shard", f"{index}/2"
        )
        for index in range(2)
    ]
    assert [answer.code for answer in answers] == [0, 0]
    assert sorted("studies of shard" in answer.err and answer.err.count(": 1\n") for answer in answers) == [0, 1]
    assert len(contents(tmp_path / "out")) == 1


@pytest.mark.parametrize("shard", ["8/8", "-1/8", "1", "a/b", "0/0", "1/8/2"])
def test_a_wrong_shard(report_gen: Command, studies: Path, shard: str) -> None:
    answer = report_gen("draft", studies, f"--shard={shard}")
    assert answer.code == 2
    assert f"--shard {shard!r}: write I/N with I from 0 to N-1, such as 0/8 for the first of 8 parts" in answer.err


def test_a_prior_study_may_be_in_another_shard(report_gen: Command, checkpoint: Path, tmp_path: Path) -> None:
    for number in range(2):
        uids = {"StudyInstanceUID": f"1.2.3.{2 * number}", "SOPInstanceUID": f"1.2.3.{number}.1"}
        header = {"PatientID": "P", "StudyDate": f"2026010{number + 1}", "Modality": "DX", "BodyPartExamined": "CHEST"}
        image = noise_image(number).astype(np.uint16)
        write_dicom(tmp_path / "in" / f"{number}.dcm", image, **uids, **header)
    options = ("--checkpoint", checkpoint, "--candidates", 1, "--prior", "auto")
    whole = report_gen("draft", tmp_path / "in", "-o", tmp_path / "whole", *options)
    assert "studies with a prior study: 1 of 2" in whole.err
    for index in range(5):
        report_gen("draft", tmp_path / "in", "-o", tmp_path / "shards", *options, "--shard", f"{index}/5")
    assert contents(tmp_path / "shards") == contents(tmp_path / "whole")
    assert b"the prior study is not compared" in contents(tmp_path / "shards")["1.2.3.2.txt"]  # but it was found
