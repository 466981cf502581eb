"""Find findings that one sentence states and another denies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from report_gen.auditing.sentences import split_into_sentences
from report_gen.labeling import FindingLabeler, Mention, chest_xray, finding_labeler
from report_gen.records import FindingSchema, FindingState, Side


@dataclass(frozen=True)
class Contradiction:
    """Two sentences of which one states a finding and the other denies it."""

    finding: str
    present: str
    """The sentence that states the finding."""
    absent: str
    """The sentence that denies the finding."""


def find_contradictions(text: str, schema: FindingSchema | None = None) -> tuple[Contradiction, ...]:
    """Return the findings that one sentence states and another denies, unless they concern opposite sides.

    Three kinds of denial do not count. "The lungs are clear" names no finding and is often written beside a nodule;
    only findings that the vocabulary marks `stated_by_quality` are compared, such as an enlarged heart. "No large
    effusion" does not exclude a small one. A finding marked `several_entities` is compared only if both sentences use
    the same word.

    Args:
        text: The report.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        One contradiction for each pair of sentences and finding.
    """
    labeler = finding_labeler(schema or chest_xray())
    several_entities = labeler.vocabulary.several_entities
    mentions = [
        (sentence, mention)
        for sentence in split_into_sentences(text)
        for mention in _comparable_mentions(sentence, labeler)
    ]
    stated = [(sentence, mention) for sentence, mention in mentions if mention.state is FindingState.PRESENT]
    denied = [(sentence, mention) for sentence, mention in mentions if mention.state is FindingState.ABSENT]
    found = {
        Contradiction(mention.finding, stating, denying): None
        for stating, mention in stated
        for denying, other in denied
        if stating != denying and mention.finding == other.finding and may_be_same_side(mention, other)
        if mention.finding not in several_entities or word_stem(stating, mention) == word_stem(denying, other)
    }
    return tuple(found)


_STEM_LETTERS = 5
"""Letters at the beginning of a word that are equal in singular and plural."""
# Adjectives that limit a denial to one kind of the finding.
_LIMITING = re.compile(
    r"""\b(?:
        large[r]? | significant | siz(?:e)?able | massive | focal | lobar | discrete | dense | confluent | acute | new
      | overt | frank | gross | obvious | dominant | displaced | tension | increasing | enlarging | other | additional
      | further | residual | suspicious | worrisome | noncalcified | definite | convincing | superimposed
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def _comparable_mentions(sentence: str, labeler: FindingLabeler) -> Iterator[Mention]:
    is_limited = _LIMITING.search(sentence) is not None
    for mention in labeler.find_mentions(sentence):
        names_no_finding = mention.implied and mention.finding not in labeler.vocabulary.stated_by_quality
        if not names_no_finding and not (is_limited and mention.state is FindingState.ABSENT):
            yield mention


def word_stem(sentence: str, mention: Mention) -> str:
    """Return the stem of the last word of a mention: equal for "opacity" and "opacities", not for "infiltrate"."""
    return sentence[mention.start : mention.end].lower().split()[-1][:_STEM_LETTERS]


def may_be_same_side(one: Mention, other: Mention) -> bool:
    """Return whether two mentions may concern the same side. A left and a right mention do not."""
    return {one.location.side, other.location.side} != {Side.LEFT, Side.RIGHT}
