"""Tokenizers: report texts to token ids and back.

Modules are imported at their first use, because the names of the files are needed without the libraries.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.tokenizer.conversion import SourceTokenizer, close_under_merges, convert, cut, source_rows
    from report_gen.tokenizer.interface import BOS_ID, EOS_ID, PAD_ID, TOKENIZER_FILES, UNK_ID, ReportTokenizer
    from report_gen.tokenizer.learned import LearnedTokenizer
    from report_gen.tokenizer.loading import parse_tokenizer
    from report_gen.tokenizer.pretrained import PretrainedTokenizer
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "conversion": ("SourceTokenizer", "close_under_merges", "convert", "cut", "source_rows"),
            "interface": ("BOS_ID", "EOS_ID", "PAD_ID", "TOKENIZER_FILES", "UNK_ID", "ReportTokenizer"),
            "learned": ("LearnedTokenizer",),
            "loading": ("parse_tokenizer",),
            "pretrained": ("PretrainedTokenizer",),
        },
    )

__all__ = [
    "BOS_ID",
    "EOS_ID",
    "PAD_ID",
    "TOKENIZER_FILES",
    "UNK_ID",
    "LearnedTokenizer",
    "PretrainedTokenizer",
    "ReportTokenizer",
    "SourceTokenizer",
    "close_under_merges",
    "convert",
    "cut",
    "parse_tokenizer",
    "source_rows",
]
