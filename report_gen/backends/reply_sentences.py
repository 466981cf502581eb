"""Split a part of a reply, whose markup was removed, into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator

from report_gen.backends.positioned_text import PositionedText, Span
from report_gen.backends.remarks import is_refusal, is_remark
from report_gen.records import split_sentences

_LINE = re.compile(r"[^\n]*[^\s][^\n]*")
_FINAL = (".", "!", "?", "。", "؟", "।")


def split_reply(part: PositionedText) -> Iterator[PositionedText]:
    """Yield the sentences with single spaces.

    An empty line ends a sentence, and so does a line feed, unless the next line goes on in small letters or the line
    ends in a comma. A line that ends in a colon is a label of the next one: "Lungs:", "Clear" is "Lungs: Clear".
    """
    label: int | None = None
    for start, end in _blocks(part.text):
        line = part.text[start:end].strip()
        if line.endswith(":") and not is_remark(line) and not is_refusal(line):
            label = start
            continue
        block = part.cut(start if label is None else label, end).single_spaced()
        label = None
        position = 0
        for sentence in split_sentences(block.text):
            yield block.cut(position, position + len(sentence.text))
            position += len(sentence.text) + 1


def tidy(sentence: str, *, is_complete: bool) -> str:
    """Return a sentence without stray marks and list number, with a capital letter and a full stop.

    Args:
        sentence: The sentence.
        is_complete: False for the end of a text that was cut, which gets no full stop.
    """
    text = _NUMBER.sub("", sentence.lstrip(_STRAY_AT_START).rstrip(_STRAY_AT_END))
    first = text.split(" ", 1)[0]
    if first.islower() and first.isalpha():
        text = text[:1].upper() + text[1:]
    return f"{text}." if is_complete and text and not text.rstrip("\"')]").endswith(_FINAL) else text


_NUMBER = re.compile(r"^\(?\d{1,2}[.)] (?=\w)")
_STRAY_AT_START = " \t.,;:!?|/\\-–—•*_=~"  # noqa: RUF001
_STRAY_AT_END = " \t,;:|/\\-–—•*_=~"  # noqa: RUF001


def _blocks(text: str) -> Iterator[Span]:
    """Yield the start and the end of each run of lines that belong together."""
    block: Span | None = None
    for line in _LINE.finditer(text):
        start, end = line.span()
        if block is not None:
            before = text[block[0] : block[1]].rstrip()[-1:] if block[1] - block[0] < _LONGEST_BLOCK else "."
            goes_on = text.count("\n", block[1], start) == 1 and before not in _ENDINGS
            if goes_on and (before in _CONTINUED or line[0].lstrip()[:1].islower()):
                block = block[0], end
                continue
            yield block
        block = start, end
    if block is not None:
        yield block


_LONGEST_BLOCK = 4000
"""Number of characters from which a block gets no further line, so that the time is linear in the length of a text."""
_ENDINGS = frozenset(".!?:")
_CONTINUED = frozenset(",;")
