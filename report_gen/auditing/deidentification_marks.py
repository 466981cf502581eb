"""Recognize and remove the placeholders that de-identification leaves in a text: XXXX, ___, [**...**], [REDACTED].

XXXX occurs in the Open-i reports (Demner-Fushman et al., JAMIA 2016), ___ in MIMIC-CXR (Johnson et al., Scientific Data
2019), [**...**] in MIMIC-III.
"""

from __future__ import annotations

import re

_MARK = (
    r"(?:x-?x{3,}|_{2,}|\[\*\*.{0,200}?\*\*\]|\[\*\*|\*\*\]"
    r"|[\[<]\s*(?:name|date|redacted|removed|de-?identified|phi)\s*[\]>])"
)
_DEIDENTIFIED = re.compile(_MARK, re.IGNORECASE)
_WORD = re.compile(r"[^\s.,;:()]+")
_REMOVED = "\0"


def has_deidentification_mark(text: str) -> bool:
    """Return whether a text contains a de-identification mark."""
    return _DEIDENTIFIED.search(text) is not None


def replace_deidentification_marks(text: str, replacement: str) -> str:
    """Replace each de-identification mark of a text by `replacement`."""
    return _DEIDENTIFIED.sub(lambda _: replacement, text)


def remove_deidentified_words(text: str) -> str:
    """Remove each de-identification mark with the characters joined to it, such as the whole of XXXX-year-old."""
    # One pattern for a mark between joined characters would take quadratic time in a long word without a mark.
    marked, marks = _DEIDENTIFIED.subn(_REMOVED, text)
    return _WORD.sub(lambda word: "" if _REMOVED in word[0] else word[0], marked) if marks else text
