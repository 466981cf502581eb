"""N-grams of the training reports: the most frequent next token, for proposals in `generation/proposals.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from report_gen.errors import CheckpointError

CONTINUATION_LENGTHS = (2, 3, 4)
"""Numbers of last tokens by which the next token is looked up."""
_NAME = "tokens_{}"


class Continuations:
    """Table of the most frequent next token after the last 2, 3 or 4 tokens of a report.

    Args:
        following: Next token id by the ids of the last tokens. Each key has one of the `CONTINUATION_LENGTHS`.
    """

    def __init__(self, following: Mapping[tuple[int, ...], int]) -> None:
        self._following = following

    def __len__(self) -> int:
        return len(self._following)

    def next_token(self, tokens: Sequence[int]) -> int | None:
        """Return the most frequent next token of a text by the longest n-gram in the table; None if there is none.

        Args:
            tokens: Token ids of the text, with the begin token.
        """
        for length in reversed(CONTINUATION_LENGTHS):
            token = self._following.get(tuple(tokens[-length:])) if len(tokens) >= length else None
            if token is not None:
                return token
        return None

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file: for each length n a table [rows,n+1] int32, n tokens and the next.

        The tables are named `tokens_2`, `tokens_3` and `tokens_4`.
        """
        tables = {}
        for length in CONTINUATION_LENGTHS:
            rows = [(*last, token) for last, token in sorted(self._following.items()) if len(last) == length]
            tables[_NAME.format(length)] = torch.tensor(rows, dtype=torch.int32).reshape(-1, length + 1)
        return save(tables)

    @classmethod
    def from_bytes(cls, content: bytes, *, path: Path, vocabulary: int) -> Continuations:
        """Return the table that `to_bytes` has stored.

        Args:
            content: Content of the file.
            path: Path of the file, for messages.
            vocabulary: Number of tokens of the model.

        Raises:
            CheckpointError: The content is not such a table, or contains a token outside the vocabulary.
        """
        try:
            tables = load(content)
            rows = [tables[_NAME.format(length)].view(-1, length + 1) for length in CONTINUATION_LENGTHS]
            if not all(table.dtype == torch.int32 for table in rows):
                raise ValueError("token ids must be of type int32")
            if any(bool(((table < 0) | (table >= vocabulary)).any()) for table in rows):
                raise ValueError("a token is not in the vocabulary")
        except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: not a valid table of continuations ({error}); copy the checkpoint again"
            ) from error
        return cls({tuple(row[:-1]): row[-1] for table in rows for row in table.tolist()})
