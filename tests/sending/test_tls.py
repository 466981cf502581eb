"""TLS of both ways to send, with a certificate that OpenSSL writes for the test."""

from __future__ import annotations

import gc
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from report_gen.errors import ReceiverError
from report_gen.sending import (
    DicomNode,
    Outcome,
    SendResult,
    TlsFiles,
    WebService,
    find_objects,
    open_receiver,
    send_files,
)
from tests.certificates import write_certificate
from tests.sending.archives import dicom_node, sr_file, stow_reply, stow_service

pytestmark = [
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed"),
    # pynetdicom leaves the socket of a connection that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collect_sockets() -> Iterator[None]:
    """Collect the sockets that pynetdicom leaves, whose warnings would fail another test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 with its key, in one file."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def server(certificate: Path) -> ssl.SSLContext:
    """The settings of a receiver that asks for the certificate of the sender."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def send(destination: DicomNode | WebService, file: Path, tls: TlsFiles) -> SendResult:
    objects = find_objects([file]).objects
    with open_receiver(destination, objects, timeout=5, tls=tls) as receiver:
        (result,) = send_files(receiver, objects, retries=0)
    return result


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_certificates_of_both_sides_are_verified(
    tmp_path: Path, server: ssl.SSLContext, certificate: Path, way: str
) -> None:
    file, trusted = sr_file(tmp_path / "a.dcm"), TlsFiles(ca=certificate, certificate=certificate)
    with (
        dicom_node(ssl_context=server) as node,
        stow_service(stow_reply(stored="1.2.3"), ssl_context=server) as web,
    ):
        destinations = {
            "C-STORE": DicomNode("ARCHIVE", "127.0.0.1", node.port, with_tls=True),
            "STOW-RS": WebService(web.url),
        }
        result = send(destinations[way], file, trusted)
        assert result.outcome is Outcome.STORED, result.error
        result = send(destinations[way], file, TlsFiles())
    assert isinstance(result.error, ReceiverError)
    assert "TLS failed (self" in str(result.error)
    assert str(result.error).endswith("; check --tls-ca and --tls-cert")


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_receiver_without_tls_is_not_a_fault_of_certificates(tmp_path: Path, way: str) -> None:
    with dicom_node() as node, stow_service(stow_reply(stored="1.2.3")) as web:
        destinations = {
            "C-STORE": DicomNode("ARCHIVE", "127.0.0.1", node.port, with_tls=True),
            "STOW-RS": WebService(web.url.replace("http:", "https:")),
        }
        result = send(destinations[way], sr_file(tmp_path / "a.dcm"), TlsFiles())
    remedy = {"C-STORE": "leave --tls out", "STOW-RS": "give an http URL"}[way]
    assert isinstance(result.error, ReceiverError)
    assert str(result.error) == (
        f"{destinations[way]}: does not use TLS on this port; correct the port, or {remedy} if it has no TLS"
    )
    assert not result.error.is_transient


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_receiver_that_closes_the_connection_before_tls(tmp_path: Path, way: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def close_each() -> None:
            for _ in range(2 if way == "C-STORE" else 1):  # the second one finds the reason
                server.accept()[0].close()

        thread = threading.Thread(target=close_each)
        thread.start()
        destinations = {
            "C-STORE": DicomNode("ARCHIVE", "127.0.0.1", port, with_tls=True),
            "STOW-RS": WebService(f"https://127.0.0.1:{port}"),
        }
        result = send(destinations[way], sr_file(tmp_path / "a.dcm"), TlsFiles())
        thread.join()
    assert isinstance(result.error, ReceiverError)
    # On a busy machine the connection is closed before the client begins with TLS.
    closed = f"{destinations[way]}: closed the connection before "
    assert str(result.error).startswith((f"{closed}TLS was agreed; check", f"{closed}it answered; see"))
    assert result.error.is_transient
