"""Compile the phrases of a finding schema and the shared cues into patterns, and find them in a sentence."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from report_gen.labeling.body_parts import OtherBodyParts, read_other_body_parts
from report_gen.labeling.phrase_language import (
    BEGINNING,
    FIRST_WORD,
    PhraseIndex,
    build_phrase_index,
    phrase_variants,
)
from report_gen.labeling.places import FoundPlace, Place, build_places, find_places
from report_gen.labeling.spelling import SHORTEST_WORD, spelling_corrector
from report_gen.records import FindingSchema, FindingState


class Role(StrEnum):
    """Role of a phrase in its sentence. The values of cue roles are the names of the cues in `cues.toml`."""

    FINDING = "finding"
    ANATOMY = "anatomy"
    QUALITY = "quality"
    SIDE = "side"
    NEGATED_BEFORE = "negated_before"
    NEGATED_AFTER = "negated_after"
    UNCERTAIN_BEFORE = "uncertain_before"
    UNCERTAIN_PHRASE = "uncertain_phrase"
    UNCERTAIN_AFTER = "uncertain_after"
    STATED_BEFORE = "stated_before"
    PAST_BEFORE = "past_before"
    PRIOR_STUDY = "prior_study"
    NOT_MENTIONED_BEFORE = "not_mentioned_before"
    NOT_MENTIONED_AFTER = "not_mentioned_after"
    IGNORED = "ignored"
    VERB = "verb"
    CLAUSE_START = "clause_start"
    STATEMENT_START = "statement_start"
    SCOPE_END = "scope_end"


Claims = tuple[tuple[str, FindingState], ...]
"""Pairs of a finding and the state that a phrase gives it."""

OUTSIDE = ""
"""Name for all findings that have no name in the schema."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Meaning of a phrase of the vocabulary."""

    role: Role
    name: str = ""
    """Name of the anatomy or quality; empty for other phrases."""
    claims: Claims = ()
    """States that the phrase gives to findings if no cue modifies it; empty unless the role is FINDING."""
    denied: Claims = ()
    """States that the phrase gives to findings if it is denied, for words such as "abnormality" that name none."""


class Phrase(NamedTuple):  # a frozen dataclass takes three times as long to create, and each sentence has several
    """A phrase that was found in a sentence: `sentence[start:end]`."""

    role: Role
    name: str
    """As in `Meaning`."""
    claims: Claims
    """As in `Meaning`."""
    denied: Claims
    """As in `Meaning`."""
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    """Compiled phrases of one finding schema and of the shared cues."""

    phrases: PhraseIndex[Meaning]
    places: PhraseIndex[Place]
    """Words for sides and zones. They overlap the phrases."""
    qualities: Mapping[tuple[str, str], Claims]
    """States that a quality of an anatomy gives to findings, by (anatomy, quality)."""
    unlocated: frozenset[str]
    """Findings without a location: those of the midline, and devices, which are named for the side of their entry."""
    diffuse: frozenset[str]
    """Findings of both lungs, which do not share the side of a finding beside them."""
    several_entities: frozenset[str]
    """Findings that cover several entities, so that two mentions may mean different things."""
    begins_statement: frozenset[str]
    """Findings that are not denied in one list with others: after a comma they begin a new statement."""
    stated_by_quality: frozenset[str]
    """Findings that a quality of an anatomy states or denies as clearly as their name does."""
    outside: frozenset[str]
    """Findings that the label set of the schema does not name."""
    other_body_parts: OtherBodyParts | None
    """How to recognize a text about another part of the body; None for a schema of any body part."""
    correct_spelling: Callable[[str], str]
    """Returns the word of the vocabulary that a misspelled word in lower case means, or ""."""

    def find_phrases(self, sentence: str) -> Iterator[Phrase]:
        """Yield the phrases of a sentence in order, without overlap; the longer one of two that begin together."""
        sentence, end = sentence.translate(_LOWER), 0
        patterns, meanings = self.phrases.patterns, self.phrases.meanings
        for word in FIRST_WORD.finditer(sentence):
            start = word.start()
            if start < end:
                continue
            beginning = word[0][:BEGINNING]
            pattern = patterns.get(beginning)
            match = pattern.match(sentence, start) if pattern else None
            if match:
                end = match.end()
            elif word.end() - start >= SHORTEST_WORD and (correct := self.correct_spelling(word[0])):
                beginning, end = correct[:BEGINNING], word.end()
                match = patterns[beginning].match(correct)
            if match and match.lastindex:
                found = meanings[beginning][match.lastindex - 1]
                yield Phrase(found.role, found.name, found.claims, found.denied, start, end)

    def find_places(self, sentence: str) -> list[FoundPlace]:
        """Return the words for sides and zones in a sentence, in order."""
        return find_places(sentence.translate(_LOWER), self.places)


# `str.lower` maps some letters to two, which would shift the spans of phrases. This table keeps the length.
# The typographic apostrophe of `isn\u2019t` becomes that of the vocabulary.
_LOWER = str.maketrans(string.ascii_uppercase + "\u2019", string.ascii_lowercase + "'")


def build_vocabulary(schema: FindingSchema) -> Vocabulary:
    """Compile the phrases of a schema and the shared cues.

    Args:
        schema: The findings. Their phrases come from the built-in vocabulary that the schema names, or from the schema.

    Raises:
        ValueError: This release does not have the vocabulary of the schema.
    """
    own = _read(schema.vocabulary) if schema.vocabulary else _own_phrases(schema)
    data = _merge(_read("cues"), own)
    meanings: dict[str, Meaning] = {}
    for phrase, meaning in _entries(data, schema.normal):
        earlier = meanings.get(phrase)
        if earlier is None:
            meanings[phrase] = meaning
        elif earlier.role is meaning.role:  # A phrase may name two findings, as hydropneumothorax does.
            meanings[phrase] = replace(earlier, claims=earlier.claims + meaning.claims)
    rule = schema.no_finding
    return Vocabulary(
        phrases=build_phrase_index(meanings),
        places=build_places(data["place"]),
        qualities={
            (anatomy["name"], quality): _claims(anatomy[quality])
            for anatomy in data["anatomy"]
            for quality in data["quality"]
            if quality in anatomy
        },
        unlocated=frozenset(
            entry["name"] for entry in data["finding"] if not (entry.get("paired", True) and entry.get("located", True))
        ),
        diffuse=_marked(data, "diffuse"),
        several_entities=_marked(data, "several_entities"),
        begins_statement=_marked(data, "begins_statement"),
        stated_by_quality=_marked(data, "stated_by_quality"),
        correct_spelling=spelling_corrector(own.get("spelling", {"words": ()})["words"]),
        other_body_parts=read_other_body_parts(own["other_body_parts"]) if "other_body_parts" in own else None,
        outside=frozenset({OUTSIDE, *(() if rule is None else rule.inconclusive)}),
    )


def check_vocabulary(schema: FindingSchema) -> None:
    """Check that `build_vocabulary` can compile the phrases of a schema. Those of a built-in vocabulary always can be.

    Raises:
        ValueError: This release does not have the vocabulary of the schema.
        re.error: A phrase of the schema itself is malformed.
    """
    if schema.vocabulary:
        _vocabulary_file(schema.vocabulary)
    else:
        build_vocabulary(schema)


def _read(vocabulary: str) -> dict[str, Any]:
    return tomllib.loads(_vocabulary_file(vocabulary).read_text(encoding="utf-8"))


def _vocabulary_file(vocabulary: str) -> Traversable:
    file = files(__package__) / "vocabularies" / f"{vocabulary}.toml"
    if not (vocabulary.isidentifier() and vocabulary.isascii()) or not file.is_file():
        raise ValueError(f"the vocabulary {vocabulary!r} is not part of this release")
    return file


def _own_phrases(schema: FindingSchema) -> dict[str, Any]:
    """Return the phrases of a schema without a built-in vocabulary, in the structure of a vocabulary file."""
    return {"finding": [{"name": name, **asdict(phrases)} for name, phrases in schema.phrases.items()]}


def _marked(data: Mapping[str, Any], key: str) -> frozenset[str]:
    """Return the findings that a vocabulary marks with a key."""
    return frozenset(entry["name"] for entry in data["finding"] if entry.get(key))


_LISTS = ("finding", "outside", "abnormality", "anatomy", "place")


def _merge(cues: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared cues together with the entries of a vocabulary."""
    more = own.get("cue", {})
    return {
        **{name: [*own.get(name, ()), *cues.get(name, ())] for name in _LISTS},
        "quality": {
            name: [*phrases, *own.get("quality", {}).get(name, ())] for name, phrases in cues["quality"].items()
        },
        "cue": {
            name: [*cue["phrases"], *more.get(name, {"phrases": ()})["phrases"]] for name, cue in cues["cue"].items()
        },
    }


def _entries(data: Mapping[str, Any], normal: str) -> Iterator[tuple[str, Meaning]]:
    """Yield every phrase of a vocabulary with its meaning; a phrase may occur twice."""
    for meaning, phrases in _groups(data, normal):
        for phrase in phrases:
            for variant in phrase_variants(phrase):
                yield variant, meaning


def _groups(data: Mapping[str, Any], normal: str) -> Iterator[tuple[Meaning, Sequence[str]]]:
    """Yield every group of phrases with their meaning; `normal` is the "no finding" of the schema, or empty."""
    for finding in data["finding"]:
        present, hinted = ((finding["name"], state) for state in (FindingState.PRESENT, FindingState.UNCERTAIN))
        yield Meaning(Role.FINDING, claims=(present,)), finding["phrases"]
        yield Meaning(Role.FINDING, claims=(hinted,)), finding.get("hints", ())
    for outside in data["outside"]:
        yield Meaning(Role.FINDING, claims=((OUTSIDE, FindingState.PRESENT),)), outside["phrases"]
    nothing_wrong: Claims = ((normal, FindingState.PRESENT),) if normal else ()
    for abnormality in data["abnormality"]:
        denied = _claims(abnormality["denied"]) if "denied" in abnormality else nothing_wrong
        yield Meaning(Role.FINDING, denied=denied), abnormality["phrases"]
    for anatomy in data["anatomy"]:
        yield Meaning(Role.ANATOMY, anatomy["name"]), anatomy["phrases"]
    for name, phrases in data["quality"].items():
        yield Meaning(Role.QUALITY, name), phrases
    for place in data["place"]:
        if place.get("begins_statement"):
            yield Meaning(Role.SIDE), place["phrases"]
    for name, phrases in data["cue"].items():
        yield Meaning(Role(name)), phrases


def _claims(stated: Mapping[str, list[str]]) -> Claims:
    return tuple((finding, FindingState(state)) for state, findings in stated.items() for finding in findings)
