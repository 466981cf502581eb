"""The interface of tokenizers: what every part of the program that uses tokens may rely on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)
"""Ids of padding, unknown characters, begin and end of a report, the same for every tokenizer.

The tokenizer of a pretrained language model has other ids. `convert` renumbers them once, before the training, and the
embeddings are reordered with them.
"""

TOKENIZER_FILES = ("tokenizer.model", "tokenizer.json")
"""Names of the files of learned and of pretrained tokenizers. A checkpoint has one of them."""


class ReportTokenizer(ABC):
    """Tokenizer of reports and prompts.

    All white space becomes single blanks: headings carry the structure of a report, line breaks do not. No token spans
    a blank between two words from outside: the tokens of two texts, one after the other, decode to both texts with a
    blank between them.
    """

    pad_id = PAD_ID
    unk_id = UNK_ID
    bos_id = BOS_ID
    eos_id = EOS_ID

    file_name: ClassVar[str]
    """Name of its file in a checkpoint."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text without begin and end; characters that the vocabulary lacks become `unk_id`.

        Names of special tokens in the text are text.
        """

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids without special ids; it equals the encoded text with single blanks."""

    @abstractmethod
    def to_bytes(self) -> bytes:
        """Return the content of its file in a checkpoint."""
