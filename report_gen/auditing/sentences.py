"""Split a text into the sentences that are audited one by one."""

from __future__ import annotations

from collections.abc import Iterator

from report_gen.labeling import sentence_spans


def split_into_sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text as the labeler separates them."""
    for start, end in sentence_spans(text):
        yield text[start:end]
