"""Mark the words in which a draft and its reference differ."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape
from itertools import count

_WORD = re.compile(r"\S+")


def mark_differences(draft: str, reference: str) -> tuple[str, str]:
    """Return both texts as HTML with `<mark>` around words that the other lacks; case and punctuation are ignored."""
    drafted, referenced = ([_normalize(word) for word in _WORD.findall(text)] for text in (draft, reference))
    blocks = SequenceMatcher(a=drafted, b=referenced, autojunk=False).get_matching_blocks()
    in_draft = {block.a + step for block in blocks for step in range(block.size)}
    in_reference = {block.b + step for block in blocks for step in range(block.size)}
    return _mark(draft, in_draft), _mark(reference, in_reference)


def _normalize(word: str) -> str:
    return word.lower().strip(".,;:")


def _mark(text: str, common: set[int]) -> str:
    """Mark the words whose index is not in `common`."""
    indices = count()

    def wrap(match: re.Match[str]) -> str:
        word = escape(match[0])
        return word if next(indices) in common else f"<mark>{word}</mark>"

    return _WORD.sub(wrap, text)
