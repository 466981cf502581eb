"""Command lines: exit codes, interrupts, log messages, and progress where there is no terminal."""

from __future__ import annotations

import builtins
import json
import logging
import os
import subprocess
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.table import Table

from report_gen.controls import escape_controls
from report_gen.errors import (
    CheckpointError,
    CorpusError,
    OutputError,
    RecipeError,
    ReportGenError,
    ResourceError,
    StoppedError,
    StudyError,
    UsageError,
)
from report_gen.terminal import (
    bars,
    print_error,
    print_errors,
    print_notice,
    print_table,
    run_app,
    set_verbosity,
    track,
)
from tests.builders import write_corner_corpus


@pytest.fixture(autouse=True)
def _default_verbosity() -> Iterator[None]:
    yield
    set_verbosity()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ReportGenError("wrong"), 1),
        (UsageError("wrong"), 2),
        (RecipeError("wrong"), 2),
        (CorpusError("wrong"), 3),
        (CheckpointError("wrong"), 4),
        (OutputError("wrong"), 5),
        (ResourceError("wrong"), 5),
        (StoppedError("wrong", signal=15), 143),
        (StoppedError("wrong", signal=2), 130),
    ],
)
def test_an_error_is_one_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: ReportGenError, code: int
) -> None:
    def application() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        run_app(application)
    assert stop.value.code == code
    assert capsys.readouterr() == ("", "report-gen: wrong\n")


def test_an_unexpected_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_app(lambda: 1 / 0)


@pytest.mark.parametrize("shell", ["exec", "trap '' INT; exec"])
def test_an_interrupt_ends_with_130_even_if_the_shell_ignores_it(shell: str) -> None:
    program = "import os, signal; from report_gen.terminal import run_app\n"
    program += "run_app(lambda: os.kill(os.getpid(), signal.SIGINT))"
    command = ["sh", "-c", f'{shell} "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "report-gen: interrupted; every file that was written is complete\n")


def test_sigterm_ends_with_143_and_removes_the_temporary_folder(tmp_path: Path) -> None:
    """The folder has the texts of the corpus."""
    write_corner_corpus(tmp_path)
    program = (
        "import os, signal, sys, tempfile, report_gen.corpus_qc as qc\n"
        "from report_gen.cli import main\n"
        "def check_corpus(*_, **__):\n"
        "    print(len(os.listdir(tempfile.gettempdir())), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "qc.check_corpus = check_corpus\n"
        "sys.argv = ['report-gen', 'corpus', 'check', *sys.argv[1:]]\n"
        "main()"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "images"), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert (done.returncode, done.stdout) == (143, "1\n")
    assert done.stderr.endswith("report-gen: stopped by SIGTERM; every file that was written is complete\n")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("verbose", "quiet", "shown"),
    [
        (0, False, ["WARNING"]),
        (1, False, ["WARNING", "INFO"]),
        (2, False, ["WARNING", "INFO", "DEBUG"]),
        (7, False, ["WARNING", "INFO", "DEBUG"]),
        (2, True, []),
    ],
)
def test_verbosity_chooses_the_messages(
    capsys: pytest.CaptureFixture[str], verbose: int, quiet: bool, shown: list[str]
) -> None:
    set_verbosity(verbose=verbose, quiet=quiet)
    logger = logging.getLogger("report_gen.somewhere")
    for level in (logging.WARNING, logging.INFO, logging.DEBUG):
        logger.log(level, "a message")
    assert capsys.readouterr().err.splitlines() == [f"{level} report_gen.somewhere: a message" for level in shown]


def test_debug_messages_show_where_an_error_was_raised(capsys: pytest.CaptureFixture[str]) -> None:
    def application() -> None:
        set_verbosity(verbose=2)
        raise UsageError("wrong")

    with pytest.raises(SystemExit):
        run_app(application)
    assert "in application\n" in capsys.readouterr().err


def test_warnings_of_pydicom_are_hidden_because_they_quote_headers(recwarn: pytest.WarningsRecorder) -> None:
    source = "import warnings\nwarnings.warn('Invalid value DOE^JANE')"
    run_app(lambda: exec(compile(source, "valuerep.py", "exec"), {"__name__": "pydicom.valuerep"}))  # noqa: S102
    with pytest.warns(UserWarning, match="elsewhere"):
        warnings.warn("elsewhere", stacklevel=1)
    assert not recwarn.list


def test_quiet_hides_progress_and_lines_but_not_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    set_verbosity(quiet=True)
    assert list(track(iter("abc"), total=3, description="drafting")) == ["a", "b", "c"]
    with bars() as progress:
        progress.show("drafting", 3, 3)
        progress.say("a line")
        progress.say("an alarm", alarm=True)
    assert capsys.readouterr() == ("", "an alarm\n")


def test_a_line_break_in_a_text_beside_a_bar_forges_no_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    name = "a\nreport-gen: notice: forged"
    assert list(track(iter("ab"), total=2, description=name)) == ["a", "b"]
    with bars() as progress:
        progress.show(name, 1, 2, note=name, alarm=name)
        progress.say(name)
    written = capsys.readouterr().err
    assert not any(line.startswith("report-gen") for line in written.splitlines())
    assert written.count(r"a\nreport-gen: notice: forged") >= 5


def test_bars_in_a_notebook_are_plain_lines_that_need_no_widgets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class ZMQInteractiveShell:
        """rich recognizes a notebook by the name of this class."""

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    with bars() as progress:
        progress.show("drafting", 3, 3)
        progress.say("a line that stays")
    written = capsys.readouterr().err
    assert "a line that stays" in written
    assert "3/3" in written


def test_a_character_that_the_terminal_lacks_is_escaped() -> None:
    program = "from report_gen.terminal import print_text, run_app; run_app(lambda: print_text('Bild \\u65e5 \\udcff'))"
    for encoding, printed in (
        ("ascii:strict", rb"Bild \u65e5 \udcff"),
        ("utf-8:strict", "Bild \u65e5 ".encode() + rb"\udcff"),
    ):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert result.stdout.rstrip() == printed


UNSAFE = "\x1b]0;title\x07 \x9b31m \r \u202e \u200b \u2028 \udce9 \U000e0041"


def test_control_characters_are_escaped_as_in_json() -> None:
    assert escape_controls("a\x1b[31m\tb\n\x9b\u202e\udce9 é 放") == ("a\\u001b[31m\tb\n\\u009b\\u202e\\udce9 é 放")
    assert escape_controls("a\nb\tc", keep="") == "a\\nb\\tc"
    document = json.dumps({"name": UNSAFE}, ensure_ascii=False)
    assert json.loads(escape_controls(document)) == {"name": UNSAFE}


def test_nothing_unsafe_reaches_a_stream() -> None:
    program = f"""
import logging, sys, warnings
import click
from rich.table import Table
from report_gen.terminal import *
name = {UNSAFE!a} + "\\nforged"

def application():
    set_verbosity(verbose=2)
    print_error(name)
    print_notice(name)
    logging.getLogger("report_gen.somewhere").warning("%s", name)
    warnings.warn(name)
    click.echo(name, err=True)
    print_text(name)
    table = Table(name)
    table.add_row(name)
    print_table(table)
    for _ in track([1, 2], total=2, description=name):
        pass
    raise ValueError(name)

run_app(application)
"""
    for environment in (
        {},
        {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "latin-1"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, check=False
        )
        assert done.stderr.count(b"report-gen: ") == 2
        assert b"UnicodeEncodeError" not in done.stderr
        for written in (done.stdout, done.stderr):
            assert b"u001b]0;title" in written
            text = written.decode("latin-1" if "PYTHONIOENCODING" in environment else "utf-8")
            assert not [
                c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"
            ]
        lines = done.stderr.decode(errors="replace").splitlines()
        assert [line for line in lines if line.startswith(("report-gen: ", "WARNING "))] == [
            line for line in lines if line.endswith("\\nforged") and line.startswith(("report-gen: ", "WARNING "))
        ]


def test_quiet_hides_notices(capsys: pytest.CaptureFixture[str]) -> None:
    print_notice("shown")
    set_verbosity(quiet=True)
    print_notice("hidden")
    assert capsys.readouterr().err == "report-gen: notice: shown\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_on_standard_output_is_valid_utf8(encoding: str) -> None:
    program = (
        "from report_gen.terminal import print_json, run_app; run_app(lambda: print_json('[\"é 放 \\U0001f600\"]'))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout.decode("utf-8")) == ["é 放 \U0001f600"]


def test_cells_of_tables_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title="[bold]title")
    table.add_column("name")
    table.add_row("[/closing] :smile:")
    print_table(table)
    out = capsys.readouterr().out
    assert "[bold]title" in out
    assert "[/closing] :smile:" in out


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are of POSIX")
def test_results_go_to_the_pipe_while_a_bar_is_on_the_terminal() -> None:
    program = "from report_gen.terminal import print_text, track\n"
    program += "for number in track(range(2), total=2, description='drafting'): print_text(f'draft {number}')"
    controller, terminal = os.openpty()
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=terminal, check=True)
    os.close(terminal)
    os.close(controller)
    assert done.stdout == b"draft 0\ndraft 1\n"


def test_a_message_of_extreme_length_keeps_its_beginning_and_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("study.dcm: " + "id" * 10**6 + "; rename it")
    written = capsys.readouterr().err
    assert len(written) < 11_000
    assert written.startswith("report-gen: study.dcm: idid")
    assert written.endswith("idid; rename it\n")


def test_no_line_of_a_logged_traceback_can_pass_for_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    set_verbosity(verbose=2)
    try:
        raise ValueError("name\nreport-gen: forged")
    except ValueError:
        logging.getLogger("report_gen.somewhere").debug("cause:", exc_info=True)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "DEBUG report_gen.somewhere: cause:"
    assert "  report-gen: forged" in others
    assert all(line.startswith("  ") for line in others)


def test_a_warning_of_a_library_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def application() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            text = warnings.formatwarning("value\nreport-gen: forged\x1b", UserWarning, "library.py", 1)
            sys.stderr.write(text)

    run_app(application)
    assert capsys.readouterr().err == "WARNING UserWarning: value\\nreport-gen: forged\\u001b\n"


def test_alike_errors_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    errors: list[ReportGenError] = [StudyError(Path(f"a.zip/{n}"), f"has {n} bytes") for n in range(70_000)]
    print_errors([*errors, CorpusError("other"), *errors[:2], CorpusError("other")])
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        *(f"report-gen: a.zip/{n}: has {n} bytes" for n in range(10)),
        "report-gen: other",
        "report-gen: 69,990 more errors like this one (-v prints all): a.zip/0: has 0 bytes",
    ]
    set_verbosity(verbose=1)
    print_errors(errors[:30])
    assert len(capsys.readouterr().err.splitlines()) == 30


def test_eleven_errors_with_different_reasons_are_all_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors([StudyError(Path("a"), f"is {letter}") for letter in "abcdefghijk"])
    assert len(capsys.readouterr().err.splitlines()) == 11
