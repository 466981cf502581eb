"""Read the answer to a chat completion: the text and the probabilities of its tokens, or why there is none."""

from __future__ import annotations

import codecs
import math
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from report_gen.backends.endpoint_http import EndpointError, HttpAnswer
from report_gen.backends.interface import Reply
from report_gen.controls import shorten
from report_gen.strict_json import parse_json
from report_gen.web_service import WebService

_LONGEST_QUOTE = 100
"""Largest number of characters of a message of the server in an error."""
LONGEST_NAME = 60
"""Largest number of characters of the name of a model in an error."""
_SHORTEST_SECRET = 8
"""Smallest number of characters of a token that is left out. Shorter ones, such as "EMPTY" for a server that checks
none, may occur in a report."""
_ADDRESS = "give the address of a chat completions API up to /v1 as url"


class _StrictModel(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _TextPart(_StrictModel):
    text: str = ""
    """Empty for parts that are no text."""


class _Message(_StrictModel):
    content: str | list[_TextPart] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    """Another name of `reasoning_content`."""

    @property
    def text(self) -> str:
        """The answer, or else the refusal."""
        content = self.content or self.refusal or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)


class _Choice(_StrictModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: Any = None
    """Log probabilities of the tokens. They are checked later, because an answer is usable without them."""


class _Completion(_StrictModel):
    choices: list[_Choice] = Field(min_length=1)


class _Token(_StrictModel):
    token: str
    logprob: float = Field(allow_inf_nan=False)
    utf8: list[int] | None = Field(default=None, alias="bytes")
    """Part of a text in UTF-8, which may begin or end within a character."""

    @property
    def content(self) -> bytes:
        return bytes(self.utf8) if self.utf8 is not None else self.token.encode()


class _LogProbabilities(_StrictModel):
    content: list[_Token]


def read_reply(service: WebService, answer: HttpAnswer) -> Reply:
    """Return the reply of a successful answer.

    Raises:
        EndpointError: The answer is no chat completion, or it has no text.
    """
    choice = _read_choice(service, answer)
    text = choice.message.text
    if choice.finish_reason == "content_filter":
        raise EndpointError(f"{service}: withheld the text by its content filter; use a server without such a filter")
    if not text.strip():
        if choice.message.reasoning_content or choice.message.reasoning:
            raise EndpointError(
                f"{service}: answered with reasoning and no text; raise decoding.max_tokens, or switch the reasoning "
                "off at the server"
            )
        raise EndpointError(f"{service}: answered with an empty text; check the prompt, and the log of the server")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which no file and no terminal takes
        raise EndpointError(
            f"{service}: answered with a text that is not Unicode; see the log of the server"
        ) from error
    secret = service.secret
    if len(secret) >= _SHORTEST_SECRET and secret in text:
        raise EndpointError(f"{service}: answered with the token of the request; check what runs at url")
    token_ends, probabilities = _read_tokens(choice.logprobs, text)
    return Reply(
        text=text,
        token_ends=token_ends,
        probabilities=probabilities,
        ended=choice.finish_reason != "length",
        refused=not choice.message.content,
    )


def server_message(service: WebService, answer: HttpAnswer) -> str:
    """Return the message of an answer that reports an error, on one short line; "" if there is none.

    Args:
        service: The server, whose token is left out if the server repeats it.
        answer: The answer in the layout of OpenAI, of earlier versions of vLLM, or of FastAPI.
    """
    try:
        content = parse_json(answer.content)
    except ValueError:
        return ""
    if not isinstance(content, dict):
        return ""
    error = content.get("error")
    candidates = (
        error.get("message") if isinstance(error, dict) else error,
        content.get("message"),
        content.get("detail"),
    )
    found = next((one for one in candidates if isinstance(one, str)), "")
    return _quote(service, found, _LONGEST_QUOTE)


def read_model_names(service: WebService, answer: HttpAnswer) -> list[str]:
    """Return the names of the models of an answer to `GET /models`, shortened; empty if it has another shape."""
    try:
        content = parse_json(answer.content)
    except ValueError:
        return []
    models = content.get("data") if isinstance(content, dict) else None
    names = [one.get("id") for one in models if isinstance(one, dict)] if isinstance(models, list) else []
    return [_quote(service, name, LONGEST_NAME) for name in names if isinstance(name, str)]


def _quote(service: WebService, text: str, longest: int) -> str:
    """Return a text of the server on one short line and without the token, which the server may repeat."""
    return shorten(text.replace(service.secret, "...") if service.secret else text, longest)


def _read_choice(service: WebService, answer: HttpAnswer) -> _Choice:
    try:
        content = parse_json(answer.content)
    except ValueError as error:
        is_page = answer.content[:1024].lstrip().startswith(b"<")
        kind = "a web page" if is_page else "a text that is not JSON"
        raise EndpointError(f"{service}: answered with {kind}; {_ADDRESS}", is_general=is_page) from error
    try:
        return _Completion.model_validate(content).choices[0]
    except ValidationError as error:
        message = server_message(service, answer)
        if message:
            raise EndpointError(f"{service}: reports an error ({message}); see the log of the server") from error
        raise EndpointError(f"{service}: answered with JSON that is no chat completion; {_ADDRESS}") from error


def _read_tokens(content: Any, text: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the positions after the tokens and their probabilities; both are empty if they do not fit the text."""
    try:
        tokens = _LogProbabilities.model_validate(content).content
        pieces = [token.content for token in tokens]
    except (ValidationError, ValueError):  # ValueError: a byte above 255, or half of a surrogate pair
        return (), ()
    expected = text.encode()
    if pieces and b"".join(pieces[:-1]) == expected:  # the last one is the token that ends the text
        tokens, pieces = tokens[:-1], pieces[:-1]
    if not pieces or b"".join(pieces) != expected:
        return (), ()
    decoder, ends, end = codecs.getincrementaldecoder("utf-8")(), [], 0
    for piece in pieces:  # a character may be spread over several tokens
        end += len(decoder.decode(piece))
        ends.append(end)
    return tuple(ends), tuple(math.exp(min(0.0, token.logprob)) for token in tokens)
