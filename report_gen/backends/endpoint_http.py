"""Send HTTP requests to an endpoint. They have a limit of total time and of length of the answer, and can be canceled.

`http.client` is used because it gives access to the socket: if a server sends a byte now and then, the timeout of a
read never expires, and the wait ends only when the connection is closed. `http.client` uses no proxies of the
environment and follows no redirections, so images and token go to no other host than the one that the user named.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection, IncompleteRead
from threading import Event, Lock, Timer
from time import monotonic

from report_gen.backends.interface import GenerationError
from report_gen.web_service import WebService, is_loopback

LONGEST_ANSWER = 4 * 2**20
"""Largest number of bytes of an answer. A token with its probability takes about 300 bytes."""
_CONNECT_SECONDS = 10.0
_HTTP_PORT, _HTTPS_PORT = 80, 443


class EndpointError(GenerationError):
    """An endpoint did not answer a request.

    Args:
        message: The URL, what is wrong, and what to do.
        is_transient: Whether the same request may be answered if it is sent again.
        is_general: Whether other requests fail as well, because of the address, the token or the name of the model.
        delay: Seconds that the endpoint asks to wait before the next request.
    """

    def __init__(self, message: str, *, is_transient: bool = False, is_general: bool = False, delay: float = 0) -> None:
        super().__init__(message)
        self.is_transient, self.is_general, self.delay = is_transient, is_general, delay


@dataclass(frozen=True)
class HttpAnswer:
    """The answer of an endpoint."""

    status: int
    headers: HTTPMessage
    content: bytes


class Cancellation:
    """Ends the connections of requests from another thread."""

    def __init__(self) -> None:
        self._event, self._lock = Event(), Lock()
        self._sockets: set[socket.socket] = set()

    @property
    def is_set(self) -> bool:
        """Whether the requests were canceled."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End the connections, and the pauses between requests."""
        with self._lock:
            self._event.set()
            for one in self._sockets:
                _shut_down(one)

    def wait(self, seconds: float) -> None:
        """Pause until the time is over or the requests are canceled."""
        self._event.wait(seconds)

    @contextmanager
    def watch(self, connected: socket.socket, seconds: float) -> Iterator[None]:
        """End a connection when the time is over or the requests are canceled. Reading then ends."""
        timer = Timer(seconds, _shut_down, [connected])
        timer.daemon = True
        with self._lock:
            self._sockets.add(connected)
            if self.is_set:
                _shut_down(connected)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._sockets.discard(connected)


class EndpointServer:
    """The server of an endpoint. Each request has a connection of its own.

    Args:
        service: Root of the API.
        timeout: Seconds for an answer, for error messages.
    """

    def __init__(self, service: WebService, timeout: float) -> None:
        self.service, self._timeout = service, timeout
        self._tls = ssl.create_default_context() if service.is_encrypted else None

    def request(
        self, method: str, path: str, body: bytes | None, *, deadline: float, cancellation: Cancellation
    ) -> HttpAnswer:
        """Send a request and read its answer.

        Args:
            method: GET or POST.
            path: Path below the root.
            body: A JSON document, if the method has one.
            deadline: Value of `time.monotonic()` at which the request ends.
            cancellation: Ends the request earlier.

        Raises:
            EndpointError: There is no answer, or it is too long.
        """
        connection = self._connection(max(0.001, min(_CONNECT_SECONDS, deadline - monotonic())))
        try:
            self._connect(connection)
            return self._exchange(connection, method, path, body, deadline, cancellation)
        except (OSError, HTTPException, ValueError) as error:  # ValueError: the socket was shut down within a read
            raise self._broken(error, is_late=monotonic() >= deadline) from error
        finally:
            connection.close()

    def _connection(self, seconds: float) -> HTTPConnection:
        host, port = self.service.host, self.service.port
        if self._tls is None:
            return HTTPConnection(host, port or _HTTP_PORT, timeout=seconds)
        return HTTPSConnection(host, port or _HTTPS_PORT, timeout=seconds, context=self._tls)

    def _connect(self, connection: HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", None) or (error.reason or "protocol error").replace("_", " ")
            raise EndpointError(
                f"{self.service}: TLS failed ({reason.lower()}); check the certificate of the server, and whether this "
                "port has TLS",
                is_general=True,
            ) from error
        except OSError as error:
            reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or "no connection"
            raise EndpointError(
                f"{self.service}: cannot be reached ({reason}); check whether the server runs, and url in the "
                "description of the model",
                is_transient=not isinstance(error, socket.gaierror),
                is_general=True,
            ) from error
        # The name localhost is this computer by RFC 6761, but a file of the system decides.
        if self.service.is_loopback and not is_loopback(connection.sock.getpeername()[0]):
            raise EndpointError(
                f"{self.service}: is an address of another computer, so nothing was sent; give 127.0.0.1 as host",
                is_general=True,
            )

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        deadline: float,
        cancellation: Cancellation,
    ) -> HttpAnswer:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.service.authorization:
            headers["Authorization"] = self.service.authorization
        seconds = max(0.001, deadline - monotonic())
        connection.sock.settimeout(seconds)
        with cancellation.watch(connection.sock, seconds):
            connection.request(method, self.service.path + path, body, headers)
            response = connection.getresponse()
            content = response.read(LONGEST_ANSWER + 1)
            missing = response.length or 0  # `read` with a length does not raise if the connection ends
        if monotonic() >= deadline:
            raise TimeoutError
        if len(content) > LONGEST_ANSWER:
            raise EndpointError(
                f"{self.service}: answered with more than {LONGEST_ANSWER >> 20} MiB; reduce decoding.max_tokens, and "
                "check what runs at url"
            )
        if missing:
            raise IncompleteRead(b"", missing)
        return HttpAnswer(response.status, response.headers, content)

    def _broken(self, error: Exception, *, is_late: bool) -> EndpointError:
        if is_late or isinstance(error, TimeoutError):
            return EndpointError(
                f"{self.service}: gave no complete answer in {self._timeout:g} s; raise timeout in the description of "
                "the model, or reduce concurrency, images.size or decoding.max_tokens"
            )
        if isinstance(error, OSError | IncompleteRead):
            return EndpointError(
                f"{self.service}: closed the connection before the end of its answer; see the log of the server",
                is_transient=True,
            )
        return EndpointError(
            f"{self.service}: did not answer by HTTP; check url in the description of the model", is_general=True
        )


def _shut_down(connected: socket.socket) -> None:
    with suppress(OSError):  # closed already
        # `SSLSocket.shutdown` would remove the TLS object while another thread reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
