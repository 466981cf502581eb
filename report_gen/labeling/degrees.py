"""Read the degree (size or severity) that a sentence gives to a finding, with `vocabularies/degrees.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from report_gen.labeling import location_patterns
from report_gen.labeling.labeler import FindingLabeler, Mention


class Degree(StrEnum):
    """Rank of a degree. "Tiny", "mild" and "slight" are SMALL; "severe" and "massive" are LARGE."""

    SMALL = "small"
    MODERATE = "moderate"
    LARGE = "large"


@dataclass(frozen=True)
class GradedMention:
    """A mention of a finding with the degrees that its sentence gives to it."""

    mention: Mention
    degrees: frozenset[Degree]
    """Several for a range ("mild to moderate"); empty if the sentence gives none."""


def find_graded_mentions(sentence: str, labeler: FindingLabeler) -> Iterator[GradedMention]:
    """Yield each mention of a finding in a sentence with its degrees.

    A degree is an attribute of the mention ("small left effusion"), part of its phrase, or its predicate ("the effusion
    is small").

    Args:
        sentence: One sentence of a report.
        labeler: The labeler of the schema.
    """
    mentions = labeler.find_mentions(sentence)
    for mention in mentions:
        start = max((one.end for one in mentions if one.end <= mention.start), default=0)
        degrees = _attributes(sentence[start : mention.end], mention.start - start)
        yield GradedMention(mention, degrees or _predicate(sentence[mention.end :]))


def _attributes(words: str, phrase: int) -> frozenset[Degree]:
    """Return the degrees in a phrase, and those before it that only adjectives separate from it.

    Args:
        words: The sentence from the previous mention to the end of the phrase.
        phrase: Start of the phrase in the words.
    """
    degrees: set[Degree] = set()
    reached = phrase
    for match in reversed(list(_words().finditer(words))):
        if match.start() < phrase:
            between = location_patterns.AMOUNTS.sub("", words[match.end() : reached])
            is_joined = _RANGE.fullmatch(between) if degrees else not location_patterns.ATTRIBUTE_END.search(between)
            if not is_joined:
                break
            reached = match.start()
        degrees.add(_degree(match))
    return frozenset(degrees)


def _predicate(words: str) -> frozenset[Degree]:
    """Return the degrees that follow a phrase as its predicate ("is mild to moderate") or apposition (", mild")."""
    copula = _COPULA.match(words)
    begin = copula or _APPOSITION.match(words)
    if begin is None:
        return frozenset()
    degrees: set[Degree] = set()
    reached = begin.end()
    for match in _words().finditer(words, reached):
        if not (_RANGE.fullmatch(words, reached, match.start()) if degrees else match.start() == reached):
            break
        degrees.add(_degree(match))
        reached = match.end()
    # In "cardiomegaly, small nodule" the degree is that of the nodule.
    return frozenset(degrees) if copula or _CLAUSE_END.match(words, reached) else frozenset()


_COPULA = re.compile(
    r"\s*(?:(?:on|at|in) (?:the )?\w+(?: \w+)?\s+)?"
    r"(?:is|are|was|were|appears?|remains?)\s+(?:(?:now|still|again|only|very)\s+)*",
    re.IGNORECASE,
)
_APPOSITION = re.compile(r"\s*[,(:-]\s*")
_CLAUSE_END = re.compile(r"(?:\s+in (?:size|degree|severity))?\s*(?:[.,;)]|$)", re.IGNORECASE)
_RANGE = re.compile(r"[\s-]*(?:(?:left|right)[\s-]*)?(?:,|/|\bto\b|\bor\b|\band\b)?[\s-]*", re.IGNORECASE)
"""Text between two degrees of one finding: "small to moderate effusion", "large left and small right effusions"."""


def _degree(match: re.Match[str]) -> Degree:
    return _ranks()[match[0].lower()]


@cache
def _vocabulary() -> Mapping[str, Any]:
    return tomllib.loads((files(__package__) / "vocabularies" / "degrees.toml").read_text(encoding="utf-8"))


@cache
def _ranks() -> Mapping[str, Degree]:
    return {word: Degree(rank) for rank, words in _vocabulary()["degree"].items() for word in words}


@cache
def _words() -> re.Pattern[str]:
    """Return a pattern of all degree words that are not part of a name."""
    names = "|".join(_vocabulary()["name"]["words"])
    return re.compile(rf"\b(?:{'|'.join(_ranks())})\b(?!\s+(?:{names})\b)", re.IGNORECASE)
