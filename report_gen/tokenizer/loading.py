"""Load a tokenizer from the content of its file, whose name determines its kind."""

from __future__ import annotations

from report_gen.tokenizer.interface import ReportTokenizer
from report_gen.tokenizer.learned import LearnedTokenizer
from report_gen.tokenizer.pretrained import PretrainedTokenizer


def parse_tokenizer(file_name: str, data: bytes, *, name: str) -> ReportTokenizer:
    """Load a tokenizer.

    Args:
        file_name: One of `TOKENIZER_FILES`.
        data: Content of the file.
        name: Name of the file in error messages.

    Raises:
        CheckpointError: The data are no such tokenizer.
    """
    kinds = (LearnedTokenizer, PretrainedTokenizer)
    kind = next(kind for kind in kinds if kind.file_name == file_name)
    return kind.from_bytes(data, name=name)
