"""Recognize sentences that are incomplete because words were removed from them or never written."""

from __future__ import annotations

import re


def is_fragment(sentence: str) -> bool:
    """Return whether a sentence breaks off, or consists of two that were joined."""
    return any(pattern.search(sentence) for pattern in (_FRAGMENT, _JOINED, _STUTTER))


# What is left of a phrase whose end was removed.
_FRAGMENT = re.compile(
    r"\b(?:is|are|was|were|the|an?|of|in|at|on|to|with|within|and|or|by|for|from|than|over|involving|overlying|projecting"
    r"|greater|larger|near|adjacent|along|terminat(?:es|ing)|projects|projected|extend(?:s|ing)|lies|overlies|located)\s*(?:[.,;:?!]|$)"
    r"|\b(?:and|with|of|in|the|an?) (?:and|with|of|due|is|are|which|or)\b|\b(?:the|an?) (?:the|an?|in)\b|^\W*$"
    r"|^(?:and|or|with|of)\b|\bwith (?:the )?(?:distal )?tips?\s*(?:[.,;]|$)",
    re.IGNORECASE,
)


# Words that begin a sentence, after a word without a full stop: "Chest No acute findings."
_JOINED = re.compile(r"[a-z] (?:No|The|There|This|Lungs?|Heart|Normal|Clear|Mild|Small)\b|\[|<")
# A word twice, words that no article precedes, and two verbs without a conjunction: "There is and effusion.", "size is
# normal in silhouette is normal".
_STUTTER = re.compile(
    r"\b([a-z]+) \1\b|\b(?:is|are) and\b|\b(?:an?|the) (?:within|be|there|negative|is|are|was|present|but)\b"
    r"|\b(?:is|are)\b(?:(?!\b(?:and|or|but|which|that|there|while|where)\b)[^,.;:])*\b(?:is|are)\b",
    re.IGNORECASE,
)
