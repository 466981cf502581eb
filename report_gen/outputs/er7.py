"""Encode and parse HL7 v2 messages in the encoding ER7 (HL7 2.5.1 chapter 2).

hl7apy 1.3.5 is not used for this: it escapes the line break `\\.br\\` once more, and it takes a text such as `\\F\\`
for an escape sequence and does not escape it. The tests judge the messages with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATORS = "|^~\\&"
"""Field, component, repetition, escape and subcomponent separator of the messages that report-gen writes."""
LINE_BREAK = "\\.br\\"
"""Line break in formatted text, type FT (HL7 2.5.1 2.7.6)."""

_ESCAPES = {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "\\": "\\E\\", "&": "\\T\\"}
_TABLE = str.maketrans(_ESCAPES)
_MOST_SEGMENTS = 100_000


def escape(text: str) -> str:
    """Return a text without separators (HL7 2.5.1 2.7.1). The text must have no control characters."""
    return text.translate(_TABLE)


def encode_segment(name: str, fields: dict[int, str]) -> str:
    """Return a segment from its encoded fields by number. For MSH, field 2 is the first, because field 1 separates."""
    first = 2 if name == "MSH" else 1
    return "|".join([name, *(fields.get(number, "") for number in range(first, max(fields) + 1))]).rstrip("|")


@dataclass(frozen=True)
class Segment:
    """A segment of a message, not yet unescaped."""

    name: str
    fields: Sequence[str]
    """Field n is at n; the name is at 0."""
    separators: str

    def raw(self, number: int) -> str:
        """Return a field as it is encoded; empty if the segment is shorter."""
        return self.fields[number] if number < len(self.fields) else ""

    def repetitions(self, number: int) -> int:
        """Return how often a field is repeated; at least 1."""
        return self.raw(number).count(self.separators[2]) + 1

    def component(self, number: int, component: int = 1, *, repetition: int = 0) -> str:
        """Return a component of the first repetition of a field, or of a later one, unescaped."""
        parts = self.raw(number).split(self.separators[2])[repetition].split(self.separators[1])
        return self._unescape(parts[component - 1]) if component <= len(parts) else ""

    def lines(self, number: int) -> list[str]:
        """Return the lines of a formatted text, without empty ones. Repetitions are lines as well."""
        text = "\n".join(self._unescape(part) for part in self.raw(number).split(self.separators[2]))
        return [words for line in text.split("\n") if (words := " ".join(line.split()))]

    def _unescape(self, text: str) -> str:
        """Replace the escape sequences of separators and line breaks (HL7 2.5.1 2.7); others are removed.

        The sequences are read from left to right: the text `\\.br\\` is escaped as
        `\\E\\.br\\E\\`, which contains what looks like a line break.
        """
        mark = re.escape(self.separators[3])
        meanings = dict(zip("FSRET", self.separators[:5], strict=True)) | {".br": "\n", ".sp": "\n"}
        return re.sub(f"{mark}([^{mark}]{{0,40}}){mark}", lambda match: meanings.get(match[1], ""), text)


def parse_message(content: bytes) -> list[Segment]:
    """Return the segments of a message. Lines may end in CR, as the standard demands, LF or both.

    Raises:
        ValueError: The content does not begin with an MSH segment, is not UTF-8 text, or has too many segments.
    """
    text = content.decode("utf-8-sig").strip("\v\x1c\r\n")  # the frame of MLLP
    separators = text[3:8]
    if not text.startswith("MSH") or len(set(separators)) != 5 or any(c.isalnum() or c.isspace() for c in separators):
        raise ValueError("the message does not begin with an MSH segment")
    lines = re.split(r"[\r\n]+", text, maxsplit=_MOST_SEGMENTS)
    if len(lines) > _MOST_SEGMENTS:
        raise ValueError("the message has too many segments")
    return [_segment(line, separators) for line in lines if line]


def _segment(line: str, separators: str) -> Segment:
    name, *fields = line.split(separators[0])
    first = [separators[0]] if name == "MSH" else []
    return Segment(name, [name, *first, *fields], separators)
