"""Which words of a draft and of its reference the other one lacks."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from html import escape
from itertools import count

_WORD = re.compile(r"\S+")


def mark_differences(draft: str, reference: str) -> tuple[str, str]:
    """Both texts as HTML, with `<mark>` around words that the other lacks at that place; casing and stops aside."""
    drafted, written = ([_bare(word) for word in _WORD.findall(text)] for text in (draft, reference))
    blocks = SequenceMatcher(a=drafted, b=written, autojunk=False).get_matching_blocks()
    here = {block.a + step for block in blocks for step in range(block.size)}
    there = {block.b + step for block in blocks for step in range(block.size)}
    return _mark(draft, here), _mark(reference, there)


def _bare(word: str) -> str:
    return word.lower().strip(".,;:")


def _mark(text: str, common: set[int]) -> str:
    places = count()

    def wrap(match: re.Match[str]) -> str:
        word = escape(match[0])
        return word if next(places) in common else f"<mark>{word}</mark>"

    return _WORD.sub(wrap, text)
