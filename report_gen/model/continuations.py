"""How reports go on: the most frequent token after the last few, to propose tokens that the decoder then checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from report_gen.errors import CheckpointError

CONTINUATION_LENGTHS = (2, 3, 4)
"""Numbers of last tokens that a continuation depends on."""
_NAME = "tokens_{}"


class Continuations:
    """Continuations of reports.

    Args:
        following: The next token by the last tokens, of which there are as many as one of `CONTINUATION_LENGTHS`.
    """

    def __init__(self, following: Mapping[tuple[int, ...], int]) -> None:
        self._following = following

    def __len__(self) -> int:
        return len(self._following)

    def next_token(self, tokens: Sequence[int]) -> int | None:
        """Return the token that follows the end of a text most often, by the longest known end; None if none is known.

        Args:
            tokens: Token ids of the text, with the begin token.
        """
        for length in reversed(CONTINUATION_LENGTHS):
            token = self._following.get(tuple(tokens[-length:])) if len(tokens) >= length else None
            if token is not None:
                return token
        return None

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file: per length n a table [rows,n+1] int32 of n tokens and the next."""
        tables = {}
        for length in CONTINUATION_LENGTHS:
            rows = [(*last, token) for last, token in sorted(self._following.items()) if len(last) == length]
            tables[_NAME.format(length)] = torch.tensor(rows, dtype=torch.int32).reshape(-1, length + 1)
        return save(tables)

    @classmethod
    def from_bytes(cls, content: bytes, *, path: Path, vocabulary: int) -> Continuations:
        """Read what `to_bytes` wrote.

        Args:
            content: Content of the file.
            path: Path of the file, for messages.
            vocabulary: Number of tokens of the model.

        Raises:
            CheckpointError: The content is something else.
        """
        try:
            tables = load(content)
            rows = [tables[_NAME.format(length)].view(-1, length + 1) for length in CONTINUATION_LENGTHS]
            if not all(table.dtype == torch.int32 for table in rows):
                raise ValueError("token ids are whole numbers of 32 bits")
            if any(bool(((table < 0) | (table >= vocabulary)).any()) for table in rows):
                raise ValueError("a token is not in the vocabulary")
        except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{path}: no table of continuations ({error}); copy the checkpoint again") from error
        return cls({tuple(row[:-1]): row[-1] for table in rows for row in table.tolist()})
