"""ReportTokenizer: report text to token ids and back, around a sentencepiece model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from report_gen.errors import CheckpointError

PAD_ID, UNK_ID, BOS_ID, EOS_ID = range(4)


class ReportTokenizer:
    """White space is one blank everywhere: the headings of a report carry its structure, not its line ends."""

    pad_id = PAD_ID
    unk_id = UNK_ID
    bos_id = BOS_ID
    eos_id = EOS_ID

    def __init__(self, processor: SentencePieceProcessor) -> None:
        self._processor = processor

    @classmethod
    def from_file(cls, path: Path) -> ReportTokenizer:
        """Raises CheckpointError when the file is missing or no vocabulary of this program."""
        try:
            return cls.from_bytes(path.read_bytes(), name=str(path))
        except OSError as error:
            raise CheckpointError(
                f"{path}: cannot be read ({error.strerror}); a checkpoint carries this file."
            ) from error

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str = "tokenizer.model") -> ReportTokenizer:
        """From a serialised sentencepiece model; `name` is what an error calls it.

        Raises:
            CheckpointError: when it is no such model, or its special ids are not those of this class.
        """
        processor = SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(data)
        except RuntimeError as error:
            raise CheckpointError(f"{name}: no sentencepiece model; copy the checkpoint again.") from error
        special = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        if special != (PAD_ID, UNK_ID, BOS_ID, EOS_ID):
            raise CheckpointError(f"{name}: its special ids are {special}; learn the vocabulary with this program.")
        return cls(processor)

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self._processor.GetPieceSize())

    def encode(self, text: str) -> list[int]:
        """Ids of a text without special ids around them; characters never seen in training become `unk_id`."""
        return list(self._processor.EncodeAsIds(" ".join(text.split())))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; special ids are dropped. Equals the encoded text with single blanks."""
        return str(self._processor.DecodeIds([int(i) for i in ids if i > EOS_ID]))

    def to_bytes(self) -> bytes:
        """The serialised sentencepiece model, as in a checkpoint's tokenizer.model."""
        return bytes(self._processor.serialized_model_proto())
