"""Archives for tests: a DICOM node of pynetdicom and a small STOW-RS service, both on this computer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, EnhancedSRStorage, ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt

PATIENT = "MILLER^JANE"


def sr_file(
    path: Path,
    *,
    uid: str = "1.2.3",
    sop_class: UID = EnhancedSRStorage,
    transfer_syntax: UID = ExplicitVRLittleEndian,
) -> Path:
    """Write a DICOM file that has nothing but its identifiers and a patient."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.4", "1.2.3.5"
    dataset.PatientName, dataset.PatientID, dataset.Modality = PATIENT, "MRN-1", "SR"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@dataclass
class Node:
    """A DICOM node that listens, and what it stored."""

    port: int = 0
    stored: list[str] = field(default_factory=list)
    attempts: int = 0
    calling: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    """Length of each encoded data set."""


@contextmanager
def dicom_node(
    answers: Sequence[int | str] = (),
    *,
    contexts: Sequence[Any] = AllStoragePresentationContexts,
    require_called: bool = False,
    ssl_context: Any = None,
) -> Iterator[Node]:
    """Run a DICOM node ARCHIVE.

    Args:
        answers: Status of each C-STORE, or `abort`, or `silent`; then 0x0000.
        contexts: What it takes.
        require_called: Whether it rejects other AE titles than its own.
        ssl_context: TLS of the node.
    """
    node, remaining = Node(), list(answers)

    def store(event: Any) -> int:
        node.attempts += 1
        node.sizes.append(len(event.request.DataSet.getvalue()))
        answer = remaining.pop(0) if remaining else 0x0000
        if answer == "abort":
            event.assoc.abort()
            return 0x0000
        if answer == "silent":
            time.sleep(2)
            return 0x0000
        if answer == 0 or answer >> 12 == 0xB:
            node.stored.append(str(event.request.AffectedSOPInstanceUID))
        return int(answer)

    entity = AE("ARCHIVE")
    entity.supported_contexts = list(contexts)
    entity.require_called_aet = require_called
    handlers = [
        (evt.EVT_C_STORE, store),
        (evt.EVT_ACCEPTED, lambda event: node.calling.append(event.assoc.requestor.ae_title)),
    ]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=ssl_context)
    node.port = server.server_address[1]
    try:
        yield node
    finally:
        server.shutdown()


@dataclass
class Web:
    """A STOW-RS service that listens, and the requests that it got."""

    url: str = ""
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    """An answer of the service."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/dicom+json"),)
    seconds: float = 0
    """Time before the answer."""
    is_closed: bool = False
    """Whether the service closes the connection in place of an answer."""
    missing: int = 0
    """Bytes that are announced and not sent."""


def stow_reply(*, stored: str = "", failed: int | None = None, warning: int | None = None, status: int = 200) -> Reply:
    """A Store Instances Response in the DICOM JSON Model (PS3.18 annexes F and I)."""
    answer: dict[str, Any] = {"00081198": {"vr": "SQ"}}  # empty, as Orthanc writes it on success
    if failed is not None:
        answer["00081198"]["Value"] = [{"00081197": {"vr": "US", "Value": [failed]}}]
    if stored:
        item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [stored]}}
        if warning is not None:
            item["00081196"] = {"vr": "US", "Value": [warning]}
        answer["00081199"] = {"vr": "SQ", "Value": [item]}
    return Reply(status=status, body=json.dumps(answer).encode())


@contextmanager
def stow_service(*replies: Reply, ssl_context: Any = None) -> Iterator[Web]:
    """Run a STOW-RS service that gives these answers, and the last of them again and again."""
    web, remaining = Web(), list(replies)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            web.requests.append((self.path, dict(self.headers), body))
            reply = remaining.pop(0) if len(remaining) > 1 else remaining[0]
            time.sleep(reply.seconds)
            if reply.is_closed:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body) + reply.missing))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # the sender ended a connection

    with Server(("127.0.0.1", 0), Handler) as server:
        if ssl_context is not None:
            server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
        web.url = f"http{'s' if ssl_context else ''}://127.0.0.1:{server.server_address[1]}/dicom-web"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()
