"""Escape the characters that a terminal, a log or a browser acts on instead of showing them."""

from __future__ import annotations

import json
import re

# The Unicode categories Cc (control), Cf (format), Cs (surrogate), Zl and Zp (line and paragraph separator), in ranges:
# a search with a pattern takes 10 ms for a million characters, `unicodedata.category` of each takes 200 ms.
_CONTROL = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e00ff]"
)


def escape_controls(text: str, *, keep: str = "\n\t") -> str:
    """Escape the characters that a terminal may act on or hide, as JSON does: ESC becomes the six characters \\u001b.

    These are control characters (C0 and C1), format characters such as bidirectional overrides and zero-width spaces,
    line and paragraph separators, and the surrogates that stand for bytes of a file name that are not UTF-8. A JSON
    document keeps its meaning.

    Args:
        text: Any text.
        keep: Characters to leave as they are. A message of one line keeps none.
    """
    return _CONTROL.sub(lambda match: match[0] if match[0] in keep else json.dumps(match[0])[1:-1], text)


def replace_controls(text: str, replacement: str) -> str:
    """Replace each character that `escape_controls` would escape by another text.

    Args:
        text: Any text.
        replacement: Literal text in place of each character.
    """
    return _CONTROL.sub(lambda _: replacement, text)


def shorten(text: str, limit: int) -> str:
    """Return a text on one line without control characters, cut to a number of characters.

    A value of a header or a corpus may be a text of any length and content. In a message it names a place and no more.

    Args:
        text: Any text.
        limit: Largest number of characters that is kept; "..." follows if the text was longer.
    """
    line = " ".join(replace_controls(text[: 4 * limit], " ").split())
    return line if len(line) <= limit and len(text) <= 4 * limit else f"{line[:limit].rstrip()}..."
