"""A text that was cleaned, with the position that each of its characters has in the original text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int]
"""Start and end of a part of a text."""

Piece = str | Span
"""New characters, or a part of the text that stays."""


@dataclass(frozen=True)
class PositionedText:
    """A text whose characters know their positions in the original text, so that tokens can be assigned to it."""

    text: str
    positions: Sequence[int]
    """Position of each character in the original text, not decreasing. A new character has that of the character before
    it in the same replacement, or else of the first replaced character."""

    @classmethod
    def from_spans(cls, original: str, spans: Iterable[Span]) -> PositionedText:
        """Return the given parts of an original text, in order."""
        kept = list(spans)
        if len(kept) == 1:  # a range takes no memory
            return cls(original[slice(*kept[0])], range(*kept[0]))
        return cls(
            "".join(original[start:end] for start, end in kept),
            [position for start, end in kept for position in range(start, end)],
        )

    def cut(self, start: int, end: int | None = None) -> PositionedText:
        """Return a part of the text."""
        return PositionedText(self.text[start:end], self.positions[start:end])

    @property
    def span(self) -> Span:
        """Start and end of the text in the original text; (0, 0) if the text is empty."""
        return (self.positions[0], self.positions[-1] + 1) if self.text else (0, 0)

    def replace(self, replacements: Iterable[tuple[Span, Iterable[Piece]]]) -> PositionedText:
        """Replace parts of the text, which are not empty and in order, each by new characters and parts that stay."""
        texts: list[str] = []
        positions: list[int] = []
        reached = 0
        for (start, end), pieces in replacements:
            for piece in ((reached, start), *pieces):
                if isinstance(piece, str):
                    texts.append(piece)
                    position = max([self.positions[start], *positions[-1:]])
                    positions.extend([position] * len(piece))
                else:
                    texts.append(self.text[slice(*piece)])
                    positions.extend(self.positions[slice(*piece)])
            reached = end
        texts.append(self.text[reached:])
        positions.extend(self.positions[reached:])
        return PositionedText("".join(texts), positions)

    def substitute(
        self, pattern: re.Pattern[str], pieces: Callable[[re.Match[str]], Iterable[Piece] | None]
    ) -> PositionedText:
        """Replace the matches of a pattern, as `re.sub` does.

        Args:
            pattern: Matches at least one character.
            pieces: Returns what replaces a match: new characters, and parts of the text such as `match.span(1)`. None
                leaves the match as it is.
        """
        found = ((match.span(), pieces(match)) for match in pattern.finditer(self.text))
        return self.replace((span, replacement) for span, replacement in found if replacement is not None)

    def single_spaced(self) -> PositionedText:
        """Return the text without white space at its ends, and with single spaces inside."""
        start = len(self.text) - len(self.text.lstrip())
        return self.cut(start, len(self.text.rstrip())).substitute(_WHITE_SPACE, lambda _: (" ",))


_WHITE_SPACE = re.compile(r"\s+")
