"""The phrases of `vocabularies/findings.toml` as one pattern: a sentence in, its phrases out, in order."""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any

from report_gen.records.report import FindingState


class Role(StrEnum):
    """What a phrase does in its sentence. The cue roles carry the names they have in the vocabulary."""

    FINDING = "finding"
    ANATOMY = "anatomy"
    QUALITY = "quality"
    SIDE = "side"
    NEGATED_BEFORE = "negated_before"
    NEGATED_AFTER = "negated_after"
    UNCERTAIN_BEFORE = "uncertain_before"
    UNCERTAIN_PHRASE = "uncertain_phrase"
    UNCERTAIN_AFTER = "uncertain_after"
    NOT_MENTIONED_BEFORE = "not_mentioned_before"
    NOT_MENTIONED_AFTER = "not_mentioned_after"
    IGNORED = "ignored"
    VERB = "verb"
    CLAUSE_START = "clause_start"
    SCOPE_END = "scope_end"


Claims = tuple[tuple[str, FindingState], ...]
"""Findings and what is said of each."""


Meaning = tuple[Role, str, Claims]
"""Role, name and claims of a phrase, see `Phrase`."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase found in a sentence, at `start` up to `end`."""

    role: Role
    name: str
    """The anatomy, quality or side; empty for cues."""
    claims: Claims
    """What the phrase says when no cue turns it; only findings say anything by themselves."""
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    patterns: Mapping[str, re.Pattern[str]]
    """By the letter that a phrase begins with: a tenth of the time of one pattern for all."""
    meanings: Mapping[str, tuple[Meaning, ...]]
    """Of each group of the pattern of a letter, in order."""
    qualities: Mapping[tuple[str, str], Claims]
    """What a quality says of an anatomy."""
    unpaired: frozenset[str]
    """Findings of the midline."""

    def find_phrases(self, sentence: str) -> Iterator[Phrase]:
        """Phrases in order and without overlap; where two begin together the one of more words."""
        sentence, end = sentence.translate(_LOWER), 0
        for initial in _INITIAL.finditer(sentence):
            pattern = self.patterns.get(initial[0])
            if pattern is None or initial.start() < end:
                continue
            if (match := pattern.match(sentence, initial.start())) and match.lastindex:
                end = match.end()
                yield Phrase(*self.meanings[initial[0]][match.lastindex - 1], match.start(), end)


NO_FINDING = "No Finding"

OUTSIDE = "Outside"
"""Stands for every finding that has no name among `report.FINDINGS`."""

ABNORMALITY = "Abnormality"
"""Stands for a word that says something is wrong and not what."""

BONE_ABNORMALITY = "Bone Abnormality"
"""The same of bones."""

# Lengths must not change, or the spans would not fit the text: `str.lower` maps some letters to two.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_INITIAL = re.compile(r"(?<!\w)\w|[^\w\s]")
_GAP = r"[\s\-]+"
_PIECE = re.compile(r"\[([^\]]+)\]|\(([^)]+)\)|(\S+)")


@cache
def load_vocabulary() -> Vocabulary:
    """The vocabulary that comes with the library; read once."""
    data = tomllib.loads((files(__package__) / "vocabularies" / "findings.toml").read_text(encoding="utf-8"))
    meanings: dict[str, Meaning] = {}
    for phrase, role, name, claims in _entries(data):
        # A phrase may name two findings, as hydropneumothorax does.
        meanings[phrase] = (role, name, meanings[phrase][2] + claims if phrase in meanings else claims)
    phrases: dict[str, list[str]] = {}
    for phrase in sorted(meanings, key=phrase_precedence):
        for initial in _initials(phrase):
            phrases.setdefault(initial, []).append(phrase)
    return Vocabulary(
        patterns={
            initial: re.compile("|".join(f"({phrase_pattern(phrase)})" for phrase in group))
            for initial, group in phrases.items()
        },
        meanings={initial: tuple(meanings[phrase] for phrase in group) for initial, group in phrases.items()},
        qualities={
            (anatomy["name"], quality): _claims(anatomy[quality])
            for anatomy in data["anatomy"]
            for quality in data["quality"]
            if quality in anatomy
        },
        unpaired=frozenset(
            {NO_FINDING, *(entry["name"] for entry in data["finding"] if not entry.get("paired", True))}
        ),
    )


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[str, Role, str, Claims]]:
    for role, name, claims, phrases in _groups(data):
        for phrase in phrases:
            yield phrase, role, name, claims


def _groups(data: Mapping[str, Any]) -> Iterator[tuple[Role, str, Claims, list[str]]]:
    for finding in data["finding"]:
        yield Role.FINDING, "", ((finding["name"], FindingState.PRESENT),), finding["phrases"]
        yield Role.FINDING, "", ((finding["name"], FindingState.UNCERTAIN),), finding.get("hints", [])
    for outside in data["outside"]:
        yield Role.FINDING, "", ((OUTSIDE, FindingState.PRESENT),), outside["phrases"]
    yield Role.FINDING, "", ((ABNORMALITY, FindingState.PRESENT),), data["abnormality"]["phrases"]
    yield Role.FINDING, "", ((BONE_ABNORMALITY, FindingState.PRESENT),), data["bone_abnormality"]["phrases"]
    for anatomy in data["anatomy"]:
        yield Role.ANATOMY, anatomy["name"], (), anatomy["phrases"]
    for role, table in ((Role.QUALITY, data["quality"]), (Role.SIDE, data["side"])):
        for name, phrases in table.items():
            yield role, name, (), phrases
    for name, cue in data["cue"].items():
        yield Role(name), "", (), cue["phrases"]


def _claims(said: Mapping[str, list[str]]) -> Claims:
    return tuple((finding, FindingState(state)) for state, findings in said.items() for finding in findings)


def phrase_precedence(phrase: str) -> tuple[int, int, str]:
    """Sorts the phrase with more words to be found first: `no change` must win over `no`."""
    words = sum(1 for optional, _, _ in _PIECE.findall(phrase) if not optional)
    return -words, -len(phrase), phrase


def _initials(phrase: str) -> set[str]:
    """The letters that the phrase can begin with: those of its first word and of the optional ones before it."""
    initials: set[str] = set()
    for optional, group, word in _PIECE.findall(phrase):
        initials.update(alternative[0] for alternative in (optional or group or word).split("|"))
        if not optional:
            break
    return initials


def phrase_pattern(phrase: str) -> str:
    """The phrase language as a regular expression; the head of the vocabulary describes it."""
    if not any(letter.isalpha() for letter in phrase):
        return re.escape(phrase)
    pattern, joined = "", True
    for optional, group, word in _PIECE.findall(phrase):
        choice = _choice(optional or group or word)
        if optional:
            pattern += f"(?:{choice}{_GAP})*" if joined else f"(?:{_GAP}{choice})*"
            continue
        pattern += choice if joined else _GAP + choice
        joined = False
    return rf"{pattern}(?!\w)"


def _choice(words: str) -> str:
    alternatives = sorted(words.split("|"), key=lambda word: (-len(word), word))
    return "(?:" + "|".join(_literal(alternative) for alternative in alternatives) + ")"


def _literal(words: str) -> str:
    return _GAP.join(re.escape(word).replace(r"\*", "[a-z]*") for word in words.split())
