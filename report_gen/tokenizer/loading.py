"""Load a tokenizer from the content of its file, whose name determines its kind."""

from __future__ import annotations

from report_gen.tokenizer.interface import ReportTokenizer
from report_gen.tokenizer.learned import LearnedTokenizer


def parse_tokenizer(file_name: str, data: bytes, *, name: str) -> ReportTokenizer:
    """Load a tokenizer.

    Args:
        file_name: One of `TOKENIZER_FILES`.
        data: Content of the file.
        name: Name of the file in error messages.

    Raises:
        CheckpointError: The data are no such tokenizer.
    """
    if file_name == LearnedTokenizer.file_name:
        return LearnedTokenizer.from_bytes(data, name=name)
    from report_gen.tokenizer.pretrained import PretrainedTokenizer  # loads the library tokenizers

    return PretrainedTokenizer.from_bytes(data, name=name)
