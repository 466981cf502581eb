"""Convert report texts to token ids and back, with a sentencepiece model."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from report_gen.errors import CheckpointError

PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)


class ReportTokenizer:
    """Tokenizer of reports and prompts.

    All white space becomes single blanks: headings carry the structure of a report, line breaks do not.
    """

    pad_id = PAD_ID
    unk_id = UNK_ID
    bos_id = BOS_ID
    eos_id = EOS_ID

    def __init__(self, processor: SentencePieceProcessor) -> None:
        self._processor = processor

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> ReportTokenizer:
        """Load a sentencepiece model.

        Raises:
            CheckpointError: The file is missing, or is no vocabulary of this program.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes(), name=str(path))
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy the checkpoint again") from error

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = "tokenizer.model") -> ReportTokenizer:
        """Load a serialized sentencepiece model.

        Args:
            data: Content of the file.
            name: Name of the file in error messages.

        Raises:
            CheckpointError: The data are no such model, or the special ids are not those of this class.
        """
        processor = SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(data)
        except RuntimeError as error:
            raise CheckpointError(f"{name}: not a sentencepiece model; copy the checkpoint again") from error
        special = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        if special != (PAD_ID, UNK_ID, BOS_ID, EOS_ID):
            raise CheckpointError(f"{name}: the special ids are {special}; learn the vocabulary with this program")
        return cls(processor)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self._processor.GetPieceSize())

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text without begin and end; characters that the vocabulary lacks become `unk_id`."""
        return list(self._processor.EncodeAsIds(" ".join(text.split())))

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids without special ids; it equals the encoded text with single blanks."""
        return str(self._processor.DecodeIds([int(i) for i in ids if i > EOS_ID]))

    def to_bytes(self) -> bytes:
        """Return the serialized sentencepiece model, the content of `tokenizer.model` in a checkpoint."""
        return bytes(self._processor.serialized_model_proto())
