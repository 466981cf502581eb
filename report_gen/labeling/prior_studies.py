"""Read what a sentence states about findings of an earlier study."""

from __future__ import annotations

import re
from collections.abc import Sequence

from report_gen.labeling.marks import DENIED, NOT_MENTIONED, Mark
from report_gen.labeling.phrases import Role


def read_prior_studies(sentence: str, marks: Sequence[Mark]) -> None:
    """Read findings of an earlier study from the rest of the sentence: `the prior study showed edema, now resolved`.

    They persist if the rest says so, are denied if it states a normal or resolved condition and names no finding, and
    are not mentioned otherwise.
    """
    for index, cue in enumerate(marks):
        if cue.phrase.role is not Role.PRIOR_STUDY:
            continue
        found = [mark for mark in marks[index + 1 :] if mark.phrase.role in _DESCRIBING]
        start = found[0].phrase.end if found else cue.phrase.end
        now = _NOW.search(sentence, start)
        if now is None and sentence[cue.phrase.start : cue.phrase.start + 4].lower() == "comp":
            continue  # in "compared with the prior study with more edema" the edema is new
        rest = len(sentence) if now is None else now.start()
        if _STILL.search(sentence, rest):
            continue
        denied = any(
            mark.phrase.role in (Role.NEGATED_AFTER, Role.NEGATED_BEFORE)
            or (mark.phrase.role is Role.QUALITY and mark.phrase.name in _NORMAL)
            for mark in marks[index + 1 :]
            if mark.phrase.start >= rest
        )
        renamed = any(mark.phrase.role is Role.FINDING and mark.phrase.start >= rest for mark in found)
        for mark in found:
            if mark.phrase.start < rest:
                mark.after = DENIED if denied and not renamed else NOT_MENTIONED


_DESCRIBING = (Role.FINDING, Role.QUALITY)
_NORMAL = ("normal", "clear", "intact")
_STILL = re.compile(
    r"\b(?:unchanged|stable|persist|remain|again|still|similar|increas|decreas|improv|worse|progress|larger|smaller"
    r"|no (?:\w+ )?change)",
    re.IGNORECASE,
)
_NOW = re.compile(r"[,;]|\bbut\b|\bwhich (?:has|have|is|are)\b|\bnow\b", re.IGNORECASE)
