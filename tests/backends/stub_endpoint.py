"""A stub of a server with chat completions on this computer, which gives prepared answers and keeps the requests."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An answer of the stub."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    seconds: float = 0
    """Time before the answer."""
    pause: float = 0
    """Time after each byte of the body, or of `raw`."""
    is_closed: bool = False
    """Whether the connection is closed in place of an answer."""
    missing: int = 0
    """Bytes that are announced and not sent."""
    raw: bytes = b""
    """Bytes in place of an answer in HTTP."""


@dataclass(frozen=True)
class Request:
    """A request that the stub got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Stub:
    """A running stub."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    most_at_once: int = 0
    """Largest number of requests that waited for an answer at the same time. One whose answer is being sent does not
    count: the client may send its next request before the stub has noticed that the answer is sent."""
    waiting: int = 0
    active: int = 0
    remaining: list[Answer] = field(default_factory=list)
    models: Answer = field(default_factory=lambda: Answer(status=404))
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self.lock:
            self.active += 1
            self.waiting += 1
            self.most_at_once = max(self.most_at_once, self.waiting)
        try:
            yield
        finally:
            with self.lock:
                self.active -= 1


def completion(
    content: Any = "FINDINGS: Clear.",
    *,
    finish: str | None = "stop",
    logprobs: Any = None,
    seconds: float = 0,
    **fields: Any,
) -> Answer:
    """A chat completion as vLLM writes it; other fields are those of the message."""
    message = {"role": "assistant", "content": content, **fields}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
    return json_answer({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}, seconds=seconds)


def json_answer(content: Any, status: int = 200, **more: Any) -> Answer:
    """An answer with a JSON document."""
    return Answer(status=status, body=json.dumps(content).encode(), **more)


class _Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_GET(self) -> None:
        self.stub.requests.append(Request("GET", self.path, dict(self.headers), None))
        self._give(self.stub.models)

    def do_POST(self) -> None:
        stub = self.stub
        with stub.counted():
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with stub.lock:
                stub.requests.append(Request("POST", self.path, dict(self.headers), body))
                answer = stub.remaining.pop(0) if len(stub.remaining) > 1 else stub.remaining[0]
            stub.ended.wait(answer.seconds)
            with stub.lock:
                stub.waiting -= 1
            with suppress(OSError):  # the client ended the connection
                self._give(answer)

    def _give(self, answer: Answer) -> None:
        self.close_connection = True
        self._write(answer.raw, answer.pause)
        if answer.is_closed or answer.raw:
            return
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) + answer.missing))
        self.end_headers()
        self._write(answer.body, answer.pause)

    def _write(self, content: bytes, pause: float) -> None:
        for part in [content[i : i + 1] for i in range(len(content))] if pause else [content]:
            self.wfile.write(part)
            self.stub.ended.wait(pause)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def stub_endpoint(
    *answers: Answer,
    models: Answer = Answer(status=404),
    host: str = "127.0.0.1",
    ssl_context: ssl.SSLContext | None = None,
) -> Iterator[Stub]:
    """Run a stub that gives these answers to POST, and the last of them again and again.

    Args:
        answers: The answers to POST.
        models: The answer to GET.
        host: Address on which the stub listens.
        ssl_context: TLS of the stub.
    """
    stub = Stub(remaining=list(answers), models=models)
    handler = type("Handler", (_Handler,), {"stub": stub})

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, *_: object) -> None:
            pass  # the client ended the connection

    with Server((host, 0), handler) as server:
        name = f"[{host}]" if ":" in host else host
        if ssl_context is not None:
            server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
        stub.url = f"http{'s' if ssl_context else ''}://{name}:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            stub.ended.set()
            server.shutdown()
            thread.join()


def unused_url() -> str:
    """The URL of a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def wait_until(condition: Any, seconds: float = 5) -> bool:
    """Whether a condition is met within a time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(condition())
