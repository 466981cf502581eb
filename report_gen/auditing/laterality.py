"""Recognize sentences that name a side of the body."""

from __future__ import annotations

import re


def mentions_side(sentence: str) -> bool:
    """Return whether a sentence names a side: left, right or both."""
    return _SIDE.search(sentence) is not None


_SIDE = re.compile(
    r"""\b(?:
        left | right | (?:left|right)(?:ward|sided) | bilateral(?:ly)? | unilateral(?:ly)?
      | both\ (?:lungs?|sides|bases|apices|lower|upper|hemi\w+|costo\w+|hila|pleural)
      | bibasilar | bibasal | biapical | bihilar | lingular? | middle\ lobe | [lr][lu]l | rml
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
