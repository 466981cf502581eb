"""Read the items of large JSON files one at a time, so that a file of a gigabyte does not become one object."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from report_gen.corpora.text_files import read_chunks
from report_gen.errors import CorpusError
from report_gen.strict_json import unique_keys

LONGEST_ITEM = 2**24
"""Longest allowed item, characters. Its objects may take twenty times as many bytes."""

_CHUNK = 2**16
_BLANK = " \t\n\r"
_DELIMITERS = (*_BLANK, ",", ":", "]", "}")


def stream_array(path: Path) -> Iterator[Any]:
    """Yield the items of a file that is one JSON array.

    Raises:
        CorpusError: The file is not a JSON array. Some items may have been yielded before.
    """
    text = _Text(path)
    text.take("[")
    yield from _items(text)
    text.take("")


def stream_arrays(path: Path) -> Iterator[tuple[str, Iterator[Any] | None]]:
    """Yield (name, items) of a file that is one JSON object of arrays. Items are None for a value of another type.

    Items that the caller has not consumed before the next name are skipped.

    Raises:
        CorpusError: The file is not JSON, or not an object.
    """
    text = _Text(path)
    text.take("{")
    while text.peek() != "}":
        name = str(text.value())
        text.take(":")
        if text.peek() == "[":
            text.take("[")
            items = _items(text)
            yield name, items
            deque(items, maxlen=0)
        else:
            text.value()
            yield name, None
        if text.peek() != "}":
            text.take(",")
    text.take("}")
    text.take("")


def _items(text: _Text) -> Iterator[Any]:
    while text.peek() != "]":
        yield text.value()
        if text.peek() != "]":
            text.take(",")
    text.take("]")


class _Text:
    """A JSON file, from the position reached so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = read_chunks(path, _CHUNK)
        self._buffer = ""
        self._position = 0
        self._line = 1

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end of the file."""
        while True:
            while self._position < len(self._buffer):
                if self._buffer[self._position] not in _BLANK:
                    return self._buffer[self._position]
                self._position += 1
            if not self._fill():
                return ""

    def take(self, expected: str) -> None:
        """Skip a character that must come next."""
        if self.peek() != expected:
            raise self._error(f"expected {expected!r}" if expected else "more than one value")
        self._position += len(expected)

    def value(self) -> Any:
        """Return the next complete value."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._position)
                is_whole = self._buffer[end : end + 1] in _DELIMITERS  # a number may continue in the next piece
                if is_whole or not self._fill():
                    self._position = end
                    return value
            except JSONDecodeError as error:
                if not self._fill():
                    raise self._error(error.msg) from error
            except (ValueError, RecursionError) as error:
                raise self._error(str(error)) from error

    def _fill(self) -> bool:
        """Read more, at least as much again as is buffered, so that a long item is parsed few times."""
        self._line += self._buffer.count("\n", 0, self._position)
        rest = self._buffer[self._position :]
        if len(rest) > LONGEST_ITEM:
            raise self._error("an item has no end")
        pieces = [rest]
        for piece in self._pieces:
            pieces.append(piece)
            if sum(map(len, pieces)) > 2 * len(rest):
                break
        self._buffer, self._position = "".join(pieces), 0
        return len(self._buffer) > len(rest)

    def _error(self, reason: str) -> CorpusError:
        line = self._line + self._buffer.count("\n", 0, self._position)
        return CorpusError(f"{self._path}: invalid JSON near line {line} ({reason}); correct the file")


_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys)
