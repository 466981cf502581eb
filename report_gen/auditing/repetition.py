"""Find sentences that repeat an earlier sentence."""

from __future__ import annotations

import re

from report_gen.auditing.sentences import split_into_sentences


def find_repeated_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences that repeat an earlier one, apart from case, punctuation and list numbers."""
    earlier: set[str] = set()
    repeated = []
    for sentence in split_into_sentences(text):
        words = " ".join(re.findall(r"[^\W_]+", _NUMBERING.sub("", sentence).lower()))
        if words in earlier:
            repeated.append(sentence)
        elif words:
            earlier.add(words)
    return tuple(repeated)


_NUMBERING = re.compile(r"^\s*\d+[.)](?:\s+|$)")
