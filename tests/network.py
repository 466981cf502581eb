"""Block the network in a test, and count the attempts to reach it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def blocked_network() -> Iterator[list[str]]:
    """Make every attempt to connect or to resolve a name fail; yield the list of attempts, which may grow."""
    attempts: list[str] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        attempts.append(repr(arguments[-1:] if isinstance(arguments[0], socket.socket) else arguments[:1]))
        raise OSError(101, "Network is unreachable")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, refuse)
        for name in ("create_connection", "getaddrinfo", "gethostbyname"):
            patch.setattr(socket, name, refuse)
        yield attempts


@contextlib.contextmanager
def listening_socket() -> Iterator[tuple[str, list[str]]]:
    """Listen on this computer; yield the address, and the list of the requests, which may grow."""
    requests: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = server.accept()
                    with connection:
                        requests.append(connection.recv(4096).decode(errors="replace").partition("\r\n")[0])
                        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", requests
        finally:
            stop.set()
            thread.join()
