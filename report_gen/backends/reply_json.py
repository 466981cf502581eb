"""Read the report out of a JSON object in a reply, such as {"findings": "...", "impression": "..."}.

Models write JSON that is cut off or has faults, and the position of each character is needed. The tokens of the text
are therefore read one by one, and nothing is required of their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from report_gen.backends.positioned_text import Piece, PositionedText
from report_gen.labeling import HEADINGS

_START = re.compile(r"(?:\A\s*|\n[ \t]*)(?:```\w*[ \t]*\n[ \t]*)?(?=[\[{]\s*[\[{\"])")
_TOKEN = re.compile(
    r'(?P<quote>")(?P<string>(?:[^"\\]|\\.)*+)(?:"|\\?\Z)(?P<key>\s*+:)?|(?P<open>[\[{])|(?P<close>[\]}])'
    r'|[^"\[\]{}]++',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\n", "b": " ", "f": " "}
_DESCRIBING = ("findings", "impression")


def replace_json(text: PositionedText) -> tuple[PositionedText, bool]:
    """Replace a JSON object by lines with headings and labels.

    Returns:
        The text, and whether it has a JSON object that describes no images, which is then left out.
    """
    begin = _START.search(text.text)
    if begin is None:
        return text, False
    reader = _JsonReader(text.text, begin.end())
    pieces = list(reader.pieces())
    replacement = pieces if reader.describes else ["\n\n"]
    return text.replace([((begin.start(), reader.end), replacement)]), not reader.describes


@dataclass
class _JsonReader:
    """Reads one JSON value. `end` and `describes` are known after the last piece."""

    text: str
    start: int
    end: int = 0
    describes: bool = False
    """A key is a heading of findings or of the impression."""
    _depth: int = 0
    _kept_from: int = 0
    """Depth of the heading whose strings are kept; 0 for none."""

    def pieces(self) -> Iterator[Piece]:
        """Yield the kept parts, with a heading before the strings of each section."""
        for token in _TOKEN.finditer(self.text, self.start):
            self.end = token.end()
            if token["open"]:
                self._depth += 1
            elif token["close"]:
                self._depth -= 1
                if self._depth <= 0:
                    return
            elif token["key"]:
                yield from self._key(token)
            elif token["quote"] and self._kept_from:
                yield from self._string(token)
                yield "\n\n"

    def _key(self, token: re.Match[str]) -> Iterator[Piece]:
        name = token["string"].replace("_", " ").strip()
        section = HEADINGS.get(name.upper())
        if section is not None:
            self.describes |= section in _DESCRIBING
            self._kept_from = self._depth
            yield f"\n\n{name.upper()}:\n"
        elif self._kept_from and self._depth > self._kept_from:
            yield f"\n\n{name[:1].upper()}{name[1:]}: "
        else:
            self._kept_from = 0

    def _string(self, token: re.Match[str]) -> Iterator[Piece]:
        start, end = token.span("string")
        for escape in _ESCAPE.finditer(self.text, start, end):
            yield start, escape.start()
            yield chr(int(escape[1], 16)) if escape[1] else _ESCAPED.get(escape[2], escape[2])
            start = escape.end()
        yield start, end
