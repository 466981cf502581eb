"""The tokenizer of a pretrained language model, a `tokenizer.json` of Hugging Face's library `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import Tokenizer

from report_gen.errors import CheckpointError
from report_gen.strict_json import parse_json
from report_gen.tokenizer.interface import EOS_ID, TOKENIZER_FILES, ReportTokenizer
from report_gen.tokenizer.settings import check_settings

_PREFIXES = ("", " ")
_PROBE = ("No. 1: a-b (c), d/e.", "Heart size is 2.5 cm.")
"""Two texts that a tokenizer must reproduce: lower-casing, for example, would change the reports."""


class PretrainedTokenizer(ReportTokenizer):
    """Any fast tokenizer of Hugging Face that reproduces a text, renumbered by `convert`."""

    file_name = TOKENIZER_FILES[1]

    def __init__(self, data: bytes, settings: dict[str, Any], pieces: list[str], tokenizer: Tokenizer) -> None:
        self._data, self._settings, self._pieces, self._tokenizer = data, settings, pieces, tokenizer
        self._prefix = ""
        self._prefix = self._find_prefix()

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = file_name) -> PretrainedTokenizer:
        """Load the content of a `tokenizer.json` that `convert` wrote.

        Args:
            data: Content of the file.
            name: Name of the file in error messages.

        Raises:
            CheckpointError: The content is not JSON, has settings that are not allowed, or reproduces no text.
        """
        try:
            settings = parse_json(data)
            pieces = check_settings(settings)
            # The library gets what was checked, not the file, which another parser may read in another way.
            tokenizer = _build(settings)
            return cls(data, settings, pieces, tokenizer)
        except (ValueError, MemoryError) as error:
            raise CheckpointError(
                f"{name}: not a supported tokenizer ({str(error)[:200]}); use another checkpoint"
            ) from error

    @property
    def vocabulary_size(self) -> int:
        return len(self._pieces)

    @property
    def pieces(self) -> tuple[str, ...]:
        """The pieces in the order of their ids, in the spelling of the vocabulary."""
        return tuple(self._pieces)

    @property
    def settings(self) -> dict[str, Any]:
        """The content of its file; not to be changed."""
        return self._settings

    def encode(self, text: str) -> list[int]:
        line = " ".join(text.split())
        return list(self._tokenizer.encode(self._prefix + line, add_special_tokens=False).ids) if line else []

    def encode_spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Yield every piece of a text with its begin and end in the text with single blanks, characters."""
        line = " ".join(text.split())
        encoded = self._tokenizer.encode(self._prefix + line, add_special_tokens=False)
        for number, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
            yield self._pieces[number], max(start - len(self._prefix), 0), end - len(self._prefix)

    def decode(self, ids: Iterable[int]) -> str:
        text: str = self._tokenizer.decode([int(i) for i in ids if i > EOS_ID], skip_special_tokens=False)
        return text.removeprefix(" ")

    def to_bytes(self) -> bytes:
        return self._data

    def _find_prefix(self) -> str:
        """Return what must stand before a text, so that two texts after each other are separated by a blank.

        Byte-level tokenizers join the blank to the following word; others put it there themselves.

        Raises:
            ValueError: The tokenizer reproduces no text, for example because it lower-cases.
        """
        for prefix in _PREFIXES:
            self._prefix = prefix
            if self.decode(number for text in _PROBE for number in self.encode(text)) == " ".join(_PROBE):
                return prefix
        raise ValueError("it does not reproduce a text")


def _build(settings: dict[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(settings))
    except Exception as error:  # the library raises no narrower class
        raise ValueError(str(error)) from error
