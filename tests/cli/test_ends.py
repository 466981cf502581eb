"""How every command ends: standard streams that are closed or full, interrupts, empty and oversized arguments."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from report_gen.phantom import write_phantom
from tests.cli.conftest import Command

PROGRAM = "from report_gen.cli import run; run()"
FULL = "cannot be written (No space left on device); free disk space or send it elsewhere\n"
CLOSED = "cannot be written (it is closed); free disk space or send it elsewhere\n"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A folder with two files of reports."""
    for name in ("drafts", "references"):
        (tmp_path / f"{name}.csv").write_text("id,report\na,The lungs are clear.\nb,Small pleural effusion.\n")
    return tmp_path


def shell(redirection: str, *arguments: object, folder: Path | None = None, program: str = PROGRAM) -> tuple[int, str]:
    """Run the command line with redirected streams. Return its exit code and what standard error got."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stderr.decode()


def without_reader(*arguments: object, folder: Path | None = None) -> tuple[int, str]:
    """Run the command line with a pipe whose reader has gone. Return its exit code and what standard error got."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    return done.returncode, done.stderr.decode()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["draft", "--help"], ["train", "--explain"]])
def test_standard_output_that_cannot_be_written(arguments: list[str]) -> None:
    assert shell(">/dev/full", *arguments) == (5, f"report-gen: standard output: {FULL}")
    assert shell(">&-", *arguments) == (5, f"report-gen: standard output: {CLOSED}")
    assert shell(">&- 2>&-", *arguments) == (5, "")
    assert without_reader(*arguments) == (141, "")
    assert shell("2>/dev/full", *arguments) == (0, "")
    assert shell("2>&-", *arguments) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")
def test_scores_that_cannot_be_printed_are_in_their_files(texts: Path) -> None:
    score = ["score", "drafts.csv", "references.csv", "--no-java", "--bootstrap", "0", "--json", "scores.json"]
    assert without_reader(*score, folder=texts) == (141, "")
    assert '"BLEU-1"' in (texts / "scores.json").read_text()
    assert shell(">/dev/full", *score, folder=texts) == (5, f"report-gen: standard output: {FULL}")
    assert shell("2>/dev/full", *score, folder=texts) == (0, "")


def test_a_draft_without_a_reader(checkpoint: Path, tmp_path: Path) -> None:
    study = write_phantom(tmp_path)
    assert without_reader("draft", "--checkpoint", checkpoint, "--candidates", 1, study) == (141, "")


def test_pages_leave_nothing_behind(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a folder with fonts nor a message when Python shuts down."""
    pytest.importorskip("weasyprint", reason="the extra clinical is not installed", exc_type=ImportError)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    draft = (
        "draft",
        "--checkpoint",
        checkpoint,
        "--candidates",
        1,
        "--quiet",
        "--format",
        "pdf",
        write_phantom(tmp_path),
    )
    for program in (PROGRAM, "from report_gen.cli import main; main()"):
        assert shell("", *draft, "-o", tmp_path / "drafts", program=program) == (0, "")
        assert not list((tmp_path / "temporary").iterdir())
    assert len(list((tmp_path / "drafts").glob("*.pdf"))) == 1


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", ">&- 2>&-"])
def test_an_error_that_cannot_be_told_keeps_its_exit_code(redirection: str) -> None:
    assert shell(redirection, "draft") == (2, "")
    assert shell(redirection, "score", "absent.csv", "absent.jsonl") == (3, "")


def test_a_file_never_takes_the_place_of_a_closed_standard_output(tmp_path: Path) -> None:
    program = (
        "import os, sys; from report_gen.terminal import run_app\n"
        "def application():\n"
        "    with open(sys.argv[1], 'wb', 0) as file:\n"
        "        os.write(1, b'printed by a library')\n"
        "        file.write(b'content')\n"
        "run_app(application)"
    )
    assert shell(">&- 2>&-", tmp_path / "file", program=program) == (0, "")
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize("shell_setting", ["", "trap '' INT;"])
def test_an_interrupt_while_the_command_line_is_loaded_or_ends_is_silent(shell_setting: str) -> None:
    while_loading = """
import os, signal, sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "report_gen.cli.app":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""
    at_the_end = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    for program in (while_loading, at_the_end):
        command = ["sh", "-c", f'{shell_setting} exec "$@"', "sh", sys.executable, "-c", program + PROGRAM, "--version"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_an_interrupt_that_surfaces_as_another_error_is_an_interrupt() -> None:
    program = """
import os, signal
from report_gen.terminal import run_app
def application():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("compiled code could not be imported") from None
run_app(application)
"""
    assert shell("", program=program) == (130, "report-gen: interrupted; every file that was written is complete\n")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["draft", ""], "an argument"),
        (["draft", "chest.dcm", ""], "an argument"),
        (["draft", "chest.dcm", "--checkpoint", ""], "--checkpoint"),
        (["draft", "chest.dcm", "--attention="], "--attention"),
        (["draft", "chest.dcm", "-o", ""], "-o"),
        (["demo", "--output", ""], "--output"),
        (["score", "drafts.csv", ""], "an argument"),
        (["score", "drafts.csv", "references.csv", "--csv", ""], "--csv"),
        (["evaluate", "", "corpus"], "an argument"),
        (["corpus", "check", ""], "an argument"),
        (["corpus", "split", "corpus", "-o", ""], "-o"),
        (["train", ""], "an argument"),
        (["train", "phantom", "--output", ""], "--output"),
    ],
)
def test_an_empty_argument_is_refused(report_gen: Command, arguments: list[str], name: str) -> None:
    answer = report_gen(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"report-gen: {name}: the value is empty; give a value, or leave the argument out\n"


def test_an_indication_may_be_empty(report_gen: Command, tmp_path: Path) -> None:
    for option in (["--indication", ""], ["--indication="]):
        answer = report_gen("draft", tmp_path / "absent.dcm", *option)
        assert (answer.code, "does not exist" in answer.err) == (3, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["draft", "chest.dcm", "--seed", str(2**64)],
        ["draft", "chest.dcm", "--seed", "9" * 5000],
        ["draft", "chest.dcm", "--seed", "-1"],
        ["draft", "chest.dcm", "--batch-size", "1000000000"],
        ["draft", "chest.dcm", "--candidates", "1000000000"],
        ["score", "drafts.csv", "references.csv", "--bootstrap", "1000000000000"],
        ["score", "drafts.csv", "references.csv", "--seed", str(2**64)],
        ["evaluate", "embedded", "corpus", "--bootstrap", "1000000000000"],
        ["evaluate", "embedded", "corpus", "--seed", str(2**64)],
        ["corpus", "check", "corpus", "--seed", str(2**64)],
        ["corpus", "split", "corpus", "-o", "new", "--seed", str(2**64)],
    ],
)
def test_a_number_out_of_range_is_a_usage_error(report_gen: Command, arguments: list[str]) -> None:
    answer = report_gen(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"report-gen: invalid value for '{arguments[-2]}'")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["draft"], "missing argument 'PATH'; see report-gen draft --help"),
        (
            ["draft", "a.dcm", "--dtype", "int4"],
            "invalid value for '--dtype': 'int4' is not one of 'auto', 'float32', 'bfloat16', 'int8'; "
            "see report-gen draft --help",
        ),
        (
            ["draft", "a.dcm", "--seed", "x"],
            "invalid value for '--seed': the value must be a valid integer; see report-gen draft --help",
        ),
        (
            ["draft", "a.dcm", "--candidates", "65"],
            "invalid value for '--candidates': the value must be less than or equal to 64; see report-gen draft --help",
        ),
        (
            ["draft", "a", "--resum"],
            "no such option: --resum (Possible options: --resume, --revises, --workers); see report-gen draft --help",
        ),
        (["send", "a", "--to"], "option '--to' requires an argument"),
        (["score", "a", "b", "c\nd"], "got unexpected extra argument(s) (c\\x0ad); see report-gen score --help"),
        (["nothing"], "no such command 'nothing'; see report-gen --help"),
        (["corpus", "nothing"], "no such command 'nothing'; see report-gen corpus --help"),
    ],
)
def test_a_usage_error_is_one_sentence(report_gen: Command, arguments: list[str], message: str) -> None:
    answer = report_gen(*arguments)
    assert (answer.code, answer.out, answer.err) == (2, "", f"report-gen: {message}\n")


def test_a_wrong_source_date_epoch_is_refused_before_any_work(
    report_gen: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    answer = report_gen("draft", "absent.dcm")
    assert (answer.code, answer.out) == (2, "")
    assert "SOURCE_DATE_EPOCH='yesterday' is not a time; give whole seconds since 1970" in answer.err


def test_a_full_disk_leaves_no_file_of_the_demonstration(report_gen: Command, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # Python ignores SIGXFSZ: write fails
    try:
        answer = report_gen("demo", "-o", tmp_path / "demo")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (answer.code, answer.out) == (5, "")
    assert ".dcm: cannot be written (File too large)" in answer.err
    assert list((tmp_path / "demo").iterdir()) == []
