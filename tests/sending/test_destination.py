"""Receivers on the command line. What is checked is where data of patients are sent, whatever the text looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.errors import UsageError
from report_gen.sending import (
    DicomNode,
    Outcome,
    WebService,
    find_objects,
    open_receiver,
    parse_destination,
    send_files,
)
from tests.sending.archives import sr_file, stow_reply, stow_service

SECRET = "s3cret"  # noqa: S105 - of a test


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("http://127.0.0.1:8042/dicom-web", "127.0.0.1", 8042, "/dicom-web"),
        ("HTTP://LOCALHOST/dicom-web/", "localhost", None, "/dicom-web"),
        ("https://[::1]:8443", "::1", 8443, ""),
        ("http://localhost:/a%20b/@x", "localhost", None, "/a%20b/@x"),
        ("http://127.255.255.254/", "127.255.255.254", None, ""),
    ],
)
def test_a_url_of_this_computer(text: str, host: str, port: int | None, path: str) -> None:
    found = parse_destination(text)
    assert isinstance(found, WebService)
    assert (found.host, found.port, found.path, found.is_loopback) == (host, port, path, True)
    assert found.is_encrypted is text.startswith("https")


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{SECRET}@127.0.0.1/",
        f"http://{SECRET}@127.0.0.1/",
        f"http://127.0.0.1\\@{SECRET}.example/",
        f"http://127.0.0.1#@{SECRET}.example/",
        f"http://127.0.0.1?@{SECRET}.example/",
        "http://@127.0.0.1/",
        "http://127.0.0.1/?",
        "http://127.0.0.1/#",
        "http:///dicom-web",
        "http://:8042/",
        "http://",
        "http:127.0.0.1/",
        "http://[::1/",
        "http://::1/",
        "http://[::1%25lo]/",
        "http://[::1%lo]/",
        "http://[v1.x]/",
        "http://[127.0.0.1]/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:99999999999999999999/",
        "http://127.0.0.1:-1/",
        "http://127.0.0.1:+80/",
        "http://127.0.0.1:８０/",
        "http://127.0.0.1:80:80/",
        "http://127.0.0.1 .example/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\tb",
        "http://127.0.0.1\n.example/",
        "http://127.0.0.1\\.example/",
        "http://127.0.0.1/a\\b",
        "http://127.0.0.1\x00/",
        "http://ｌｏｃａｌｈｏｓｔ/",
        "http://１２７.0.0.1/",
        "http://localhost。example/",
        "http://münchen.example/",
        "http://127.0.0.1/é",
        "http://%6cocalhost/",
        "http://localhost%00.example/",
        "http://a..b/",
        "http://.localhost/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
        "http://local host/",
        "http://'localhost'/",
    ],
)
def test_a_hostile_url_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"--to: (the URL is not valid|a URL with a password)|write aet@host"
    ) as refusal:
        parse_destination(text, allow_remote=True)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1.example",
        "localhost.example",
        "xlocalhost",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0.0.0.0",  # noqa: S104
        "[::ffff:192.0.2.1]",
        "[fe80::1]",
        "xn--mnchen-3ya.example",
    ],
)
def test_a_host_that_is_not_certainly_this_computer_needs_permission(host: str) -> None:
    for text in (f"http://{host}/dicom-web", f"A@{host}:104"):
        with pytest.raises(UsageError, match="is on another computer; add --allow-remote"):
            parse_destination(text)
        assert not parse_destination(text, allow_remote=True).is_loopback


@pytest.mark.parametrize(
    "host",
    ["a..b", "a" * 64, "[ab]", "[127.0.0.1]", "münchen.example", "a%00b", "[::1%25lo]", "a\\b", "", "[::1", "a\x00b"],
)
def test_a_hostile_host_of_a_dicom_node_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="--to: write aet@host:port"):
        parse_destination(f"A@{host}:104", allow_remote=True)


def test_a_dicom_node() -> None:
    assert parse_destination("A@[::1]:104") == DicomNode("A", "::1", 104)
    assert parse_destination("A@localhost:11112") == DicomNode("A", "localhost", 11112)


@pytest.mark.parametrize("path", ["/dicom-web", "", "//dicom-web", "/a%20b/@127.0.0.2", "/..//x"])
def test_the_request_goes_to_the_host_that_was_checked(path: str, tmp_path: Path) -> None:
    objects = find_objects([sr_file(tmp_path / "a.dcm", uid="1.2.3")]).objects
    with stow_service(stow_reply(stored="1.2.3")) as web:
        root = web.url.removesuffix("/dicom-web")
        service = parse_destination(root + path)
        with open_receiver(service, objects) as receiver:
            (result,) = send_files(receiver, objects)
    assert result.outcome is Outcome.STORED
    ((target, headers, _),) = web.requests
    assert target == "/" + f"{path}/studies".lstrip("/")  # the server of the test removes a second slash
    assert headers["Host"] == root.removeprefix("http://")
