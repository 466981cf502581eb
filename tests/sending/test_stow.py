"""STOW-RS against a small HTTP service."""

from __future__ import annotations

import email
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from report_gen.errors import ReceiverError
from report_gen.sending import (
    Outcome,
    SendResult,
    WebService,
    delivery,
    find_objects,
    open_receiver,
    parse_destination,
    send_files,
)
from tests.sending.archives import Reply, sr_file, stow_reply, stow_service

HTML = (("Content-Type", "text/html"),)
STORED = stow_reply(stored="1.2.3")
TOKEN = "s3cret-t0ken"  # noqa: S105 - of a test


@pytest.fixture(autouse=True)
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waiting times between attempts, which the tests do not wait."""
    waited: list[float] = []
    monkeypatch.setattr(delivery, "sleep", waited.append)
    return waited


def send(url: str, files: Sequence[Path], *, token: str = "", timeout: float = 5, retries: int = 3) -> list[SendResult]:
    objects = find_objects(files).objects
    destination = parse_destination(url, token=token)
    with open_receiver(destination, objects, timeout=timeout) as receiver:
        return list(send_files(receiver, objects, retries=retries))


def test_the_bytes_of_a_file_arrive_in_a_multipart_request(tmp_path: Path) -> None:
    """Parsed by the library for mail; an empty sequence of failures, as Orthanc writes it, is no failure."""
    file = sr_file(tmp_path / "a.dcm")
    with stow_service(STORED) as web:
        (result,) = send(f"{web.url}/", [file])
    assert (result.outcome, result.warning) == (Outcome.STORED, "")
    ((path, headers, body),) = web.requests
    assert path == "/dicom-web/studies"
    assert "Authorization" not in headers
    message = email.message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
    assert message.get_content_type() == "multipart/related"
    assert message.get_param("type") == "application/dicom"
    (part,) = message.get_payload()
    assert part.get_content_type() == "application/dicom"
    head = b"Content-Type: application/dicom\r\n\r\n"
    boundary = message.get_boundary().encode()
    assert body == b"--" + boundary + b"\r\n" + head + file.read_bytes() + b"\r\n--" + boundary + b"--\r\n"


@pytest.mark.parametrize(("token", "header"), [(TOKEN, f"Bearer {TOKEN}"), ("Basic YTpi", "Basic YTpi")])
def test_a_token_is_sent_and_never_shown(tmp_path: Path, token: str, header: str) -> None:
    with stow_service(Reply(status=401)) as web:
        results = send(web.url, [sr_file(tmp_path / f"{n}.dcm") for n in range(2)], token=token)
    assert web.requests[0][1]["Authorization"] == header
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.NOT_SENT]
    assert "does not permit the request (HTTP 401 Unauthorized); check the token" in str(results[0].error)
    assert token not in str(results[0].error)
    assert token not in repr(parse_destination(web.url, token=token))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (stow_reply(failed=0xA900, status=409), "HTTP 409 Conflict (0xA900 Data Set Does Not Match SOP Class)"),
        (Reply(status=409, body=b"<html>", headers=HTML), "HTTP 409 Conflict;"),
        (Reply(status=400), "HTTP 400 Bad Request;"),
        (stow_reply(failed=0xC122, status=202), "0xC122 Transfer Syntax Not Supported"),
        (stow_reply(failed=0x0110), "0x0110 Processing Failure"),
        (stow_reply(stored="9.9"), "did not confirm that it stored the file"),
        (stow_reply(), "did not confirm that it stored the file"),
        (
            Reply(body=b'{"00081199": {"Value": [{"00081155": {"Value": [{}, []]}, "00081196": {"Value": ["x"]}}]}}'),
            "did not confirm that it stored the file",
        ),
    ],
)
def test_a_refused_file_is_not_sent_again_and_the_others_go_on(
    tmp_path: Path, delays: list[float], reply: Reply, reason: str
) -> None:
    with stow_service(reply, STORED) as web:
        results = send(web.url, [sr_file(tmp_path / "a.dcm"), sr_file(tmp_path / "b.dcm")])
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.STORED]
    assert reason.casefold() in str(results[0].error).casefold()
    assert (len(web.requests), delays) == (2, [])


@pytest.mark.parametrize("reply", [Reply(status=503), Reply(status=429), stow_reply(failed=0xA700, status=409)])
def test_a_busy_service_is_asked_again(tmp_path: Path, delays: list[float], reply: Reply) -> None:
    with stow_service(reply, STORED) as web:
        results = send(web.url, [sr_file(tmp_path / "a.dcm")])
    assert ([result.outcome for result in results], delays) == ([Outcome.STORED], [1])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(body=b"<html>Welcome</html>", headers=HTML), "did not answer as a STOW-RS service"),
        (Reply(body=b"7"), "did not answer as a STOW-RS service"),
        (Reply(status=200), "did not answer as a STOW-RS service"),
        (Reply(body=b"no gzip", headers=(("Content-Encoding", "gzip"),)), "did not answer as a STOW-RS service"),
        (Reply(status=404, body=b"<html>", headers=HTML), "has no STOW-RS service (HTTP 404 Not Found)"),
        (Reply(status=403), "does not permit the request (HTTP 403 Forbidden); set the token"),
        (Reply(status=302, headers=(("Location", "http://192.0.2.1/"),)), "redirects to another URL (HTTP 302 Found)"),
    ],
)
def test_a_service_that_takes_nothing_ends_the_batch(
    tmp_path: Path, delays: list[float], reply: Reply, reason: str
) -> None:
    with stow_service(reply) as web:
        results = send(web.url, [sr_file(tmp_path / f"{n}.dcm") for n in range(2)])
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.NOT_SENT]
    assert isinstance(results[0].error, ReceiverError)
    assert reason in str(results[0].error)
    assert (len(web.requests), delays) == (1, [])


@pytest.mark.parametrize("status", [400, 409])
def test_the_address_of_the_transaction_is_not_the_root(tmp_path: Path, status: int) -> None:
    """Orthanc reads /studies/studies as the study named `studies`, and refuses each file with 409."""
    with stow_service(Reply(status=status)) as web:
        results = send(f"{web.url}/studies", [sr_file(tmp_path / f"{n}.dcm") for n in range(2)])
    assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.NOT_SENT]
    assert "give the root of its service, without /studies" in str(results[0].error)


def test_a_service_that_hangs(tmp_path: Path) -> None:
    with stow_service(Reply(seconds=1.5)) as web:
        (result,) = send(web.url, [sr_file(tmp_path / "a.dcm")], timeout=1, retries=0)
    assert "gave no answer in 1 s; check the receiver or raise --timeout" in str(result.error)


def test_a_service_that_is_down_is_tried_again(tmp_path: Path, delays: list[float]) -> None:
    with stow_service(STORED) as web:
        pass
    (result,) = send(web.url, [sr_file(tmp_path / "a.dcm")])
    assert "cannot be reached (Connection refused); check host and port" in str(result.error)
    assert delays == [1, 2, 4]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(is_closed=True), "closed the connection before it answered; check whether it needs an https URL, and"),
        (Reply(body=STORED.body, missing=9), "closed the connection in its answer; see the log of the receiver"),
    ],
)
def test_a_connection_that_the_service_closes_is_tried_again(
    tmp_path: Path, delays: list[float], reply: Reply, reason: str
) -> None:
    """The service got the whole file, so it can be reached."""
    file = sr_file(tmp_path / "a.dcm")
    with stow_service(reply) as web:
        (result,) = send(web.url, [file], retries=1)
    assert isinstance(result.error, ReceiverError)
    assert str(result.error).startswith(f"{web.url}: {reason}")
    assert delays == [1]
    assert [file.read_bytes() in body for _, _, body in web.requests] == [True, True]


def test_a_port_of_another_protocol_is_no_stow_service(tmp_path: Path, delays: list[float]) -> None:
    """A server of SSH answers with its name (RFC 4253 4.2)."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                while connection.recv(4096):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        (result,) = send(f"http://127.0.0.1:{server.getsockname()[1]}", [sr_file(tmp_path / "a.dcm")])
        thread.join()
    assert "did not answer as a STOW-RS service" in str(result.error)
    assert delays == []


def test_a_warning_is_passed_on(tmp_path: Path) -> None:
    with stow_service(stow_reply(stored="1.2.3", warning=0xB000, status=202)) as web:
        (result,) = send(web.url, [sr_file(tmp_path / "a.dcm")])
    assert result.outcome is Outcome.STORED
    assert result.warning.startswith("0xB000 ")


def test_proxies_and_passwords_of_the_environment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would get the data of patients, and a password of ~/.netrc would replace the token."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login jane password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with stow_service(STORED) as web, stow_service(Reply(status=502)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        (result,) = send(web.url, [sr_file(tmp_path / "a.dcm")], token=TOKEN)
    assert result.outcome is Outcome.STORED
    assert proxy.requests == []
    assert web.requests[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_a_destination_does_not_show_its_token() -> None:
    assert TOKEN not in repr(WebService("http://127.0.0.1", f"Bearer {TOKEN}"))
