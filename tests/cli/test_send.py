"""`report-gen send`: what the command line accepts, prints and refuses. The receivers are tested in `tests/sending`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.cli.test_start import MODEL_LIBRARIES, loaded_modules
from tests.orthanc import free_port
from tests.sending.archives import dicom_node, sr_file
from tests.sending.keepers import Keeper, running

TOKEN = "s3cret-t0ken"  # noqa: S105 - of a test


def test_each_file_has_a_result_and_the_others_go_on(report_gen: Command, tmp_path: Path) -> None:
    """A draft in another format, an absent file and a refused file cost nothing but themselves."""
    text = tmp_path / "draft.txt"
    text.write_text("DRAFT - not for diagnosis\n" * 20)
    files = [sr_file(tmp_path / f"{name}.dcm", uid=f"1.2.{number}") for number, name in enumerate("abc")]
    with dicom_node([0x0000, 0x0122, 0x0000]) as node:
        answer = report_gen("send", text, *files, tmp_path / "absent.dcm", "--to", f"ARCHIVE@127.0.0.1:{node.port}")
    assert answer.code == 7
    assert answer.out == f"stored\t{files[0]}\nfailed\t{files[1]}\nstored\t{files[2]}\n"
    lines = [line.removeprefix("report-gen: ") for line in answer.err.splitlines()]
    assert lines[0].startswith(f"{text}: is not a DICOM file, so archives do not accept it; draft with a DICOM format")
    assert lines[1] == f"{tmp_path / 'absent.dcm'}: does not exist; check the path"
    assert lines[2].startswith(f"{files[1]}: refused by ARCHIVE@127.0.0.1:{node.port}: 0x0122 Refused: SOP Class Not")
    assert lines[3] == f"notice: stored by ARCHIVE@127.0.0.1:{node.port}: 2; failed: 1; not sent: 2"
    assert len(lines) == 4
    assert node.stored == ["1.2.0", "1.2.2"]


def test_a_file_that_may_not_be_read_costs_nothing_but_itself(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typer would end the command. Root may read every file, so the answers of the system are set."""
    files = [sr_file(tmp_path / f"{name}.dcm", uid=f"1.2.{number}") for number, name in enumerate("ab")]
    access, open_path = os.access, Path.open

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == files[0]:
            raise PermissionError(13, "Permission denied", str(path))
        return open_path(path, *arguments, **options)

    monkeypatch.setattr(os, "access", lambda path, mode, **_: str(path) != str(files[0]) and access(path, mode))
    monkeypatch.setattr(Path, "open", opened)
    with dicom_node() as node:
        answer = report_gen("send", *files, "--to", f"ARCHIVE@127.0.0.1:{node.port}")
    assert (answer.code, answer.out) == (3, f"stored\t{files[1]}\n")
    assert f"report-gen: {files[0]}: cannot be read (Permission denied); check the file\n" in answer.err


def test_a_file_without_the_prefix_of_dicom_is_named(report_gen: Command, tmp_path: Path) -> None:
    path = sr_file(tmp_path / "a.dcm", uid="1.2.3")
    path.write_bytes(path.read_bytes()[132:])
    answer = report_gen("send", path, "--to", "ARCHIVE@127.0.0.1:11112")
    assert answer.code == 3
    assert (
        "lacks the prefix of a DICOM file, which archives require (PS3.10 7.1); convert it with dcmconv" in answer.err
    )


def test_a_folder_of_drafts_is_sent_without_its_other_files(report_gen: Command, tmp_path: Path) -> None:
    sr_file(tmp_path / "out" / "chest.dcm", uid="1.2.3")
    (tmp_path / "out" / "chest.txt").write_text("DRAFT")
    (tmp_path / "out" / ".drafts.jsonl").write_text("{}")
    with dicom_node() as node:
        answer = report_gen("send", tmp_path / "out", "--to", f"ARCHIVE@localhost:{node.port}")
    assert (answer.code, answer.out) == (0, f"stored\t{tmp_path / 'out' / 'chest.dcm'}\n")
    assert "notice: files in folders that are not DICOM and are not sent: 1\n" in answer.err


def test_only_files_that_are_not_dicom(report_gen: Command, tmp_path: Path) -> None:
    (tmp_path / "draft.json").write_text("{}")
    answer = report_gen("send", tmp_path / "draft.json", "--to", "ARCHIVE@127.0.0.1:1")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.count("\n") == 2


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_receiver_that_is_down_is_one_sentence(report_gen: Command, tmp_path: Path) -> None:
    files = [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.{number}") for number in range(3)]
    with dicom_node() as node:
        port = node.port
    answer = report_gen("send", *files, "--to", f"ARCHIVE@127.0.0.1:{port}", "--retries", 0)
    assert answer.code == 7
    assert [line.partition("\t")[0] for line in answer.out.splitlines()] == ["failed", "not sent", "not sent"]
    assert answer.err == (
        f"report-gen: ARCHIVE@127.0.0.1:{port}: cannot be reached (Connection refused); check host and port, and "
        "whether the receiver runs\n"
        f"report-gen: notice: stored by ARCHIVE@127.0.0.1:{port}: 0; failed: 1; not sent: 2\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "127.0.0.1:104"], "write aet@host:port"),
        (["--to", "A@127.0.0.1:70000"], "write aet@host:port"),
        (["--to", "A@127.0.0.1"], "write aet@host:port"),
        (["--to", f"{'A' * 17}@127.0.0.1:104"], "an AE title has up to 16"),
        (["--to", "A@127.0.0.1:104", "--calling-aet", "Ä"], "--calling-aet 'Ä': an AE title"),
        (["--to", "http://[127.0.0.1/"], "the URL is not valid"),
        (["--to", "http://127.0.0.1:x/"], "the URL is not valid"),
        (["--to", "http://127.0.0.1/studies?key=1"], "a URL with a password, a query or a fragment is refused"),
        (["--to", "A@127.0.0.1:104", "--tls-ca", "ca.pem"], "need --tls or an https URL"),
        (["--to", "A@127.0.0.1:104", "--tls", "--tls-key", "key.pem"], "name the certificate with --tls-cert"),
        (["--to", "A@127.0.0.1:104", "--tls", "--tls-ca", "absent.pem"], "--tls-ca absent.pem: no certificates"),
        (["--to", "A@127.0.0.1:104", "--tls", "--tls-cert", "absent.pem"], "--tls-cert absent.pem: no certificate"),
        (["--to", "https://127.0.0.1/", "--tls"], "--tls is for C-STORE"),
        (["--to", "http://127.0.0.1/x", "--commit"], "--commit is for C-STORE"),
        (["--to", "A@127.0.0.1:104", "--commit-port", "104"], "give --commit as well"),
        (["--to", "A@127.0.0.1:104", "--tls", "--commit", "--commit-port", "104"], "answers are not encrypted there"),
        (["--to", "A@127.0.0.1:104", "--commit", "--commit-port", "65536"], "commit-port"),
        (["--to", "A@127.0.0.1:104", "--timeout", "0"], "timeout"),
        (["--to", "A@127.0.0.1:104", "--retries", "-1"], "retries"),
        ([], "--to"),
    ],
)
def test_a_call_that_cannot_be_understood(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), *options)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


@pytest.mark.parametrize(
    "to", ["A@192.0.2.1:104", "A@pacs.example:104", "https://pacs.example/dicom-web", "A@[2001:db8::1]:104"]
)
def test_another_computer_needs_an_option(report_gen: Command, tmp_path: Path, to: str) -> None:
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), "--to", to)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        f"report-gen: --to {to}: is on another computer; add --allow-remote if patient data may leave this computer\n"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_notice_says_that_data_leave_the_computer(report_gen: Command, tmp_path: Path) -> None:
    """The name does not exist (RFC 6761 6.4), so nothing is sent."""
    to = "A@archive.invalid:104"
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), "--to", to, "--allow-remote", "--retries", 0)
    assert answer.code == 7
    notice, error, _ = answer.err.splitlines()
    assert notice == f"report-gen: notice: patient data leave this computer without encryption, for {to}"
    assert error.startswith(f"report-gen: {to}: cannot be reached (")


def test_a_token_is_never_sent_unencrypted_to_another_computer(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_GEN_STOW_TOKEN", TOKEN)
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), "--to", "http://192.0.2.1/dicom-web", "--allow-remote")
    assert answer.code == 2
    assert "the token would be sent unencrypted; give an https URL" in answer.err
    monkeypatch.setenv("REPORT_GEN_STOW_TOKEN", f"{TOKEN}\nX: y")
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), "--to", "http://127.0.0.1:1/dicom-web")
    assert answer.code == 2
    assert "REPORT_GEN_STOW_TOKEN: contains a character that a token cannot have" in answer.err
    assert TOKEN not in answer.err


def test_what_the_node_commits_to_keep_is_printed(report_gen: Command, tmp_path: Path) -> None:
    files = [sr_file(tmp_path / f"{number}.dcm", uid=f"1.2.{number}") for number in range(2)]
    keeper = Keeper(failed={"1.2.1": 0x0110})
    with running(keeper):
        to = f"ARCHIVE@127.0.0.1:{keeper.own_port}"
        answer = report_gen("send", *files, "--to", to, "--commit", "--timeout", 5)
    assert answer.code == 7
    assert answer.out == (f"stored\t{files[0]}\nstored\t{files[1]}\ncommitted\t{files[0]}\nnot committed\t{files[1]}\n")
    assert f"report-gen: {files[1]}: {to} does not commit to keep the file (0x0110" in answer.err
    assert f"notice: committed by {to}: 1; not committed: 1\n" in answer.err
    keeper = Keeper(port=free_port(), title="REPORT_GEN")
    with running(keeper):
        to = f"ARCHIVE@127.0.0.1:{keeper.own_port}"
        answer = report_gen("send", files[0], "--to", to, "--commit", "--commit-port", keeper.port, "--timeout", 5)
    assert (answer.code, answer.out) == (0, f"stored\t{files[0]}\ncommitted\t{files[0]}\n")


def test_a_password_in_a_url_is_not_repeated(report_gen: Command, tmp_path: Path) -> None:
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), "--to", f"http://user:{TOKEN}@127.0.0.1/dicom-web")
    assert answer.code == 2
    assert TOKEN not in answer.err


def test_a_missing_library_names_the_extra(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("association", "c_store", "status"):
        monkeypatch.delitem(sys.modules, f"report_gen.sending.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    answer = report_gen("send", sr_file(tmp_path / "a.dcm"), "--to", "A@127.0.0.1:104")
    assert answer.code == 2
    assert "sending needs the library pynetdicom, which is not installed; install it with" in answer.err
    assert 'pip install "report-gen[clinical]"' in answer.err


def test_sending_loads_no_library_for_models(tmp_path: Path) -> None:
    file = sr_file(tmp_path / "a.dcm")
    command = ["send", str(file), "--to", "A@127.0.0.1:1", "--retries", "0"]
    assert not loaded_modules(command, exit_code=7) & MODEL_LIBRARIES
    assert not loaded_modules(["send", "--help"]) & {"pynetdicom", "urllib3", "pydicom"}
