"""Recognize and remove the placeholders that de-identification leaves in a text: XXXX, ___, [**...**], [REDACTED].

XXXX occurs in the Open-i reports (Demner-Fushman et al., JAMIA 2016), ___ in MIMIC-CXR (Johnson et al., Scientific Data
2019), [**...**] in MIMIC-III.
"""

from __future__ import annotations

import re

_MARK = (
    r"(?:x-?x{3,}|_{2,}|\[\*\*.*?\*\*\]|\[\*\*|\*\*\]"
    r"|[\[<]\s*(?:name|date|redacted|removed|de-?identified|phi)\s*[\]>])"
)
_WORD_PART = r"[^\s.,;:()]*"
_DEIDENTIFIED = re.compile(_MARK, re.IGNORECASE)
_DEIDENTIFIED_WORD = re.compile(f"{_WORD_PART}{_MARK}{_WORD_PART}", re.IGNORECASE)


def has_deidentification_mark(text: str) -> bool:
    """Return whether a text contains a de-identification mark."""
    return _DEIDENTIFIED.search(text) is not None


def replace_deidentification_marks(text: str, replacement: str) -> str:
    """Replace each de-identification mark of a text by `replacement`."""
    return _DEIDENTIFIED.sub(lambda _: replacement, text)


def remove_deidentified_words(text: str) -> str:
    """Remove each de-identification mark with the characters joined to it, such as the whole of XXXX-year-old."""
    return _DEIDENTIFIED_WORD.sub("", text)
