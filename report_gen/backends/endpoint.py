"""Backend for servers with the chat completions of the OpenAI API, such as vLLM, llama.cpp and Ollama."""

from __future__ import annotations

import json
import logging
import os
import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http import HTTPStatus
from pathlib import PurePath
from time import monotonic

from report_gen.backends.description import BackendDescription, ModelDescription
from report_gen.backends.endpoint_http import Cancellation, EndpointError, EndpointServer, HttpAnswer
from report_gen.backends.endpoint_reply import LONGEST_NAME, read_model_names, read_reply, server_message
from report_gen.backends.endpoint_request import completion_request
from report_gen.backends.interface import (
    BackendInfo,
    ChatRequest,
    CheckTime,
    GenerationError,
    Reply,
)
from report_gen.controls import shorten
from report_gen.errors import CheckpointError, UsageError, without_traceback
from report_gen.generation import Decoding
from report_gen.web_service import WebService, check_remote, parse_web_service, status_name

TRIES = 3
"""Number of times that a request is sent."""
FIRST_DELAY = 1.0
"""Approximate pause before the second try, seconds. Each further pause is twice as long."""
LONGEST_DELAY = 30.0
"""Longest pause before a try, seconds. If a server asks for a longer one, the request is not sent again."""
_POLL_SECONDS = 0.05
"""Time between two calls of `check_time`, seconds."""
_MODELS_SECONDS = 10.0
_MOST_NAMES = 5
"""Number of the names of models in an error."""

_NO_PERMISSION = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NO_CHAT = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_TRANSIENT = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

_log = logging.getLogger(__name__)


class EndpointBackend:
    """A model behind a server.

    Until the server has answered a chat, a fault of the address, the token or the name of the model raises
    CheckpointError, because other chats would fail as well. Later such a fault concerns one chat.

    Args:
        description: The description of the model, which has a URL.
        allow_remote: Whether the images may be sent to another computer.

    Raises:
        UsageError: The URL is refused, or the environment variable of the token is not set.
    """

    def __init__(self, description: ModelDescription, *, allow_remote: bool = False) -> None:
        settings = description.settings
        self._model, self._timeout, self._variable = settings.model, settings.timeout, settings.token_variable
        self._server = EndpointServer(_parse_service(settings, allow_remote=allow_remote), settings.timeout)
        # Shared by the threads that use the backend, so that the server gets no more requests than it should.
        self._pool = ThreadPoolExecutor(settings.concurrency, thread_name_prefix="endpoint")
        self._has_answered = False

    @property
    def info(self) -> BackendInfo:
        """What the provenance says about the model. The server does not state which weights it has."""
        # The name of a model at llama.cpp may be the path of its file.
        path = PurePath(self._model)
        service = self._server.service
        return BackendInfo(
            model=path.name if path.is_absolute() else self._model,
            remote="" if service.is_loopback else service.host,
        )

    def generate(
        self, chats: Sequence[ChatRequest], decoding: Decoding, check_time: CheckTime
    ) -> Iterator[tuple[Reply, ...] | GenerationError]:
        """Yield the replies to each chat, see `Backend.generate`. Each candidate is a request of its own."""
        if decoding.method == "beam":
            raise UsageError("an endpoint has no beam search; choose the decoding method greedy or sample")
        return self._generate(chats, decoding, check_time)

    def _generate(
        self, chats: Sequence[ChatRequest], decoding: Decoding, check_time: CheckTime
    ) -> Iterator[tuple[Reply, ...] | GenerationError]:
        cancellation = Cancellation()
        candidates = range(decoding.candidates)
        submitted = [
            [self._pool.submit(self._answer, chat, decoding, number, cancellation) for number in candidates]
            for chat in chats
        ]
        try:
            for futures in submitted:
                result: tuple[Reply, ...] | GenerationError
                try:
                    result = tuple(_result(future, check_time) for future in futures)
                except EndpointError as error:
                    if error.is_general and not self._has_answered:
                        raise CheckpointError(str(error)) from error
                    _cancel(futures)
                    result = without_traceback(error)
                yield result
        finally:
            cancellation.cancel()
            for futures in submitted:
                _cancel(futures)

    def _answer(self, chat: ChatRequest, decoding: Decoding, number: int, cancellation: Cancellation) -> Reply:
        """Return a candidate. The timeout is for all tries and the pauses between them."""
        deadline = monotonic() + self._timeout
        body = json.dumps(completion_request(self._model, chat, decoding, number)).encode()
        for tried in range(1, TRIES + 1):
            try:
                reply = self._ask(body, deadline, cancellation)
            except EndpointError as error:
                jitter = random.uniform(0.5, 1.5)  # noqa: S311 - spreads the requests of several clients
                delay = max(error.delay, FIRST_DELAY * 2 ** (tried - 1) * jitter)
                is_possible = error.is_transient and error.delay <= LONGEST_DELAY and monotonic() + delay < deadline
                if tried == TRIES or not is_possible or cancellation.is_set:
                    raise
                _log.debug("try %d of %d failed; next one in %.1f s", tried, TRIES, delay)
                cancellation.wait(delay)
            else:
                self._has_answered = True
                return reply
        raise AssertionError  # the last try returns or raises

    def _ask(self, body: bytes, deadline: float, cancellation: Cancellation) -> Reply:
        answer = self._server.request("POST", "/chat/completions", body, deadline=deadline, cancellation=cancellation)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise self._refusal(answer, deadline, cancellation)
        return read_reply(self._server.service, answer)

    def _refusal(self, answer: HttpAnswer, deadline: float, cancellation: Cancellation) -> EndpointError:
        service, status, name = self._server.service, answer.status, status_name(answer.status)
        if status < HTTPStatus.BAD_REQUEST:
            return EndpointError(
                f"{service}: redirects to another address ({name}), to which nothing is sent; give that address as url",
                is_general=True,
            )
        if status in _NO_PERMISSION:
            remedy = f"check the token in {self._variable}" if self._variable else "name its token in token_variable"
            return EndpointError(f"{service}: does not permit the request ({name}); {remedy}", is_general=True)
        if status in _NO_CHAT:
            return self._no_chat(name, min(deadline, monotonic() + _MODELS_SECONDS), cancellation)
        message = server_message(service, answer)
        reason = f"{name}: {message}" if message else name
        if status in _TRANSIENT:
            return EndpointError(
                f"{service}: could not answer ({reason}); {_remedy(status, message)}",
                is_transient="not supported" not in message,  # llama.cpp refuses images by 500
                delay=_retry_after(answer),
            )
        return EndpointError(f"{service}: refuses the request ({reason}); {_remedy(status, message)}")

    def _no_chat(self, name: str, deadline: float, cancellation: Cancellation) -> EndpointError:
        """Return the error of a server that does not know the path or the model, with the models that it has."""
        service = self._server.service
        try:
            answer = self._server.request("GET", "/models", None, deadline=deadline, cancellation=cancellation)
            names = read_model_names(service, answer) if answer.status == HTTPStatus.OK else []
        except EndpointError:
            names = []
        if not names or shorten(self._model, LONGEST_NAME) in names:
            reason, remedy = f"has no chat completions ({name})", "give the address of such an API up to /v1 as url"
        else:
            shown = ", ".join(names[:_MOST_NAMES])
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            reason, remedy = f"has no model {self._model} ({name})", f"give one that it has as model: {shown}{more}"
        return EndpointError(f"{service}: {reason}; {remedy}", is_general=True)


def _parse_service(settings: BackendDescription, *, allow_remote: bool) -> WebService:
    option, variable = f"{settings.name}: url", settings.token_variable
    token = os.environ.get(variable, "").strip() if variable else ""
    if variable and not token:
        # The name is not quoted: a user may have written the token itself there.
        raise UsageError(
            f"{settings.name}: the environment variable that token_variable names is not set; set it to the token of "
            "the endpoint"
        )
    service = parse_web_service(
        settings.url,
        option=option,
        example="http://127.0.0.1:8000/v1",
        token=token,
        variable=variable or "the environment variable that token_variable names",
    )
    check_remote(service, option, allow_remote=allow_remote, has_token=bool(token))
    return service


def _remedy(status: int, message: str) -> str:
    """Return the remedy for an error of the server, from the words that vLLM, llama.cpp and Ollama use."""
    words = message.lower()
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "reduce concurrency in the description of the model"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "context" in words:
        return "reduce images.max_images, images.size or decoding.max_tokens, or enlarge the context at the server"
    if re.search("image|mmproj|multimodal|vision", words):
        return "check whether the model reads images, and reduce images.max_images if there are too many"
    return "see the log of the server"


def _retry_after(answer: HttpAnswer) -> float:
    """Return the seconds of the header Retry-After; 0 if it has a date or is missing."""
    text = answer.headers.get("Retry-After", "").strip()
    return float(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def _result(future: Future[Reply], check_time: CheckTime) -> Reply:
    while not wait([future], timeout=_POLL_SECONDS).done:
        check_time()
    return future.result()


def _cancel(futures: Sequence[Future[Reply]]) -> None:
    for future in futures:
        future.cancel()
