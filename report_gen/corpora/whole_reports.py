"""Whole reports as hospitals keep them, cut into the texts of an Example."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from report_gen.report import SectionName

HEADINGS: Mapping[str, str | None] = {
    **dict.fromkeys(("INDICATION", "INDICATIONS", "HISTORY", "CLINICAL HISTORY", "CLINICAL INFORMATION"), "indication"),
    **dict.fromkeys(("REASON FOR EXAM", "REASON FOR EXAMINATION", "REASON FOR THIS EXAMINATION"), "indication"),
    **dict.fromkeys(("COMPARISON", "COMPARISONS"), "comparison"),
    "FINDINGS": "findings",
    **dict.fromkeys(("IMPRESSION", "IMPRESSIONS", "CONCLUSION"), "impression"),
    **dict.fromkeys(("EXAM", "EXAMINATION", "STUDY", "PROCEDURE", "TECHNIQUE", "RECOMMENDATION"), None),
    **dict.fromkeys(("RECOMMENDATION(S)", "RECOMMENDATIONS", "NOTIFICATION", "ADDENDUM"), None),
}
"""The text that follows a heading; None is left out."""


def cut_report(text: str) -> dict[str, str]:
    """The texts of a report by their name in `Example`, on one line each.

    A heading stands at the beginning of a line in any case, or anywhere in capitals if it is one of `SectionName`.
    Other words with a colon, such as `Lungs:`, stay in their text. What stands before the first heading is findings,
    unless the report goes on with anything but an impression: then it is the head of a letter.
    """
    before, *pieces = _HEADING.split(text)
    names = [HEADINGS[heading.upper()] for heading in pieces[0::2]]
    texts: dict[str, list[str]] = defaultdict(list)
    if not names or names[0] == "impression":
        texts["findings"] = before.split()
    for name, body in zip(names, pieces[1::2], strict=True):
        if name is not None:
            texts[name] += body.split()
    return {name: " ".join(words) for name, words in texts.items()}


_NAMES = "|".join(sorted(map(re.escape, HEADINGS), key=len, reverse=True))
_IN_LINE = rf"\b(?=(?:{'|'.join(SectionName)})\s*:)"
_HEADING = re.compile(rf"(?:^[ \t]*|{_IN_LINE})((?i:{_NAMES}))\s*:", re.MULTILINE)
