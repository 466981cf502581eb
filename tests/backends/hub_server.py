"""A hub on this computer that answers requests for one model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


class _Handler(BaseHTTPRequestHandler):
    """Answers as the hub does: the file of a model with its commit, or an error with a code in a header."""

    server: HubServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        self.server.paths.append(self.path)
        name, _, file = self.path.partition("/resolve/")
        path = self.server.folder / file.partition("/")[2].partition("?")[0]
        if self.server.failure is not None:
            status, code = self.server.failure
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, with_body)
        elif self.path.startswith("/api/models/org/tiny") and "/tree/" not in self.path:  # no further folders
            self._send(200, json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": []}).encode(), {}, with_body)
        elif name == "/org/tiny" and path.is_file():
            body = path.read_bytes()
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._send(200, body, headers, with_body)
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, with_body)

    def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class HubServer(ThreadingHTTPServer):
    """The hub."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.failure: tuple[int, str] | None = None
        """HTTP status and error code that every request gets."""
        self.paths: list[str] = []


@contextmanager
def running_hub(folder: Path) -> Iterator[HubServer]:
    """Serve a folder as the model `org/tiny`."""
    with HubServer(folder) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
