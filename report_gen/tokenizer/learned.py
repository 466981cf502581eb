"""The tokenizer whose vocabulary is learned from the training reports: a sentencepiece model."""

from __future__ import annotations

from collections.abc import Iterable

from sentencepiece import SentencePieceProcessor

from report_gen.errors import CheckpointError
from report_gen.tokenizer.interface import BOS_ID, EOS_ID, PAD_ID, TOKENIZER_FILES, UNK_ID, ReportTokenizer


class LearnedTokenizer(ReportTokenizer):
    """A sentencepiece model."""

    file_name = TOKENIZER_FILES[0]

    def __init__(self, processor: SentencePieceProcessor) -> None:
        self._processor = processor

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = file_name) -> LearnedTokenizer:
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
        return int(self._processor.GetPieceSize())

    def encode(self, text: str) -> list[int]:
        return list(self._processor.EncodeAsIds(" ".join(text.split())))

    def decode(self, ids: Iterable[int]) -> str:
        return str(self._processor.DecodeIds([int(i) for i in ids if i > EOS_ID]))

    def to_bytes(self) -> bytes:
        return bytes(self._processor.serialized_model_proto())
