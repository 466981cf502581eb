"""Join words to a list, as sentences of messages and documents have them."""

from __future__ import annotations

from collections.abc import Sequence


def join_words(words: Sequence[str]) -> str:
    """Return words as a list in a sentence: "a", "a and b", or "a, b and c"; empty without words."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
