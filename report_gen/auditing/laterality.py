"""Recognize sentences that name a side of the body."""

from __future__ import annotations

import re


def mentions_side(sentence: str) -> bool:
    """Return whether a sentence names a side: left, right or both."""
    return _SIDE.search(sentence) is not None



