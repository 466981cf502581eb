"""Items of large JSON files, one at a time: a file of a gigabyte is never one Python object."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from report_gen.corpora.text_files import read_chunks
from report_gen.errors import CorpusError

LONGEST_ITEM = 2**26
"""Characters of one item."""

_CHUNK = 2**16
_BLANK = " \t\n\r"
_DELIMITERS = (*_BLANK, ",", ":", "]", "}")


def stream_array(path: Path) -> Iterator[Any]:
    """Items of a file that is one JSON array. Raises CorpusError where it is not, before or after some items."""
    text = _Text(path)
    text.take("[")
    yield from _items(text)
    text.take("")


def stream_arrays(path: Path) -> Iterator[tuple[str, Iterator[Any] | None]]:
    """(name, items) of a file that is one JSON object of arrays; the items are None where it is another value.

    What is not taken of the items before the next name is passed over.

    Raises:
        CorpusError: where the file is not JSON, or no object.
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
    """A JSON file from the place that was reached onward."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = read_chunks(path, _CHUNK)
        self._ahead = ""
        self._place = 0
        self._line = 1

    def peek(self) -> str:
        """The next character that is not blank; empty at the end of the file."""
        while True:
            while self._place < len(self._ahead):
                if self._ahead[self._place] not in _BLANK:
                    return self._ahead[self._place]
                self._place += 1
            if not self._fill():
                return ""

    def take(self, expected: str) -> None:
        """Pass over a character that must be the next."""
        if self.peek() != expected:
            raise self._fault(f"expected {expected!r}" if expected else "more than one value")
        self._place += len(expected)

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._ahead, self._place)
                is_whole = self._ahead[end : end + 1] in _DELIMITERS  # a number may go on behind the piece
                if is_whole or not self._fill():
                    self._place = end
                    return value
            except JSONDecodeError as error:
                if not self._fill():
                    raise self._fault(error.msg) from error
            except (ValueError, RecursionError) as error:
                raise self._fault(str(error)) from error

    def _fill(self) -> bool:
        """Reads on, twice as much as there is: a long item is not tried again at every piece of it."""
        self._line += self._ahead.count("\n", 0, self._place)
        left = self._ahead[self._place :]
        if len(left) > LONGEST_ITEM:
            raise self._fault("an item without an end")
        pieces = [left]
        for piece in self._pieces:
            pieces.append(piece)
            if sum(map(len, pieces)) > 2 * len(left):
                break
        self._ahead, self._place = "".join(pieces), 0
        return len(self._ahead) > len(left)

    def _fault(self, reason: str) -> CorpusError:
        line = self._line + self._ahead.count("\n", 0, self._place)
        return CorpusError(f"{self._path}: not readable as JSON near line {line} ({reason}).")


_DECODER = json.JSONDecoder()
