"""Recognize sentences about concepts that a model cannot know, and normal reports that are complete.

A decoder writes what its training texts contain, such as "presumed closure device". So a sentence is used only if every
word of it is known. `known_concepts/NAME.toml` lists the words for the vocabulary NAME of a finding schema.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from report_gen.auditing import is_fragment
from report_gen.errors import RecipeError
from report_gen.labeling import Role, finding_labeler, label_findings
from report_gen.records import FindingSchema, FindingState, Section, SectionName


class KnownConcepts:
    """The concepts that a model of some findings of a schema can know.

    Args:
        schema: The findings.
        dropped: Findings of the schema that the model does not recognize.

    Raises:
        RecipeError: There are no known concepts for the schema, or it lacks a dropped finding.
    """

    def __init__(self, schema: FindingSchema, dropped: Collection[str] = ()) -> None:
        if missing := next((name for name in dropped if name not in schema.stated), ""):
            raise RecipeError(
                f"text.unknown_findings: the schema has no finding {missing!r}; choose from {', '.join(schema.stated)}"
            )
        contents = _read(schema.vocabulary)
        self._schema, self._findings = schema, {*schema.stated, schema.normal} - {*dropped}
        self._anatomies = frozenset(contents["anatomies"])
        self._words = {word for words in contents["words"].values() for word in words.split()}
        never = (pattern for group in contents["never"].values() for pattern in group)
        self._never = re.compile("|".join(rf"\b(?:{pattern})" for pattern in never), re.IGNORECASE)
        self._removed = re.compile(rf"\b(?:{'|'.join(contents['removed'])})(?!\w),?\s*", re.IGNORECASE)
        self._denied: Sequence[Collection[str]] = contents["report"]["denied"]
        self._minor = frozenset(contents["report"]["minor"])
        self.covers = lru_cache(maxsize=2**16)(self._covers)
        """Returns whether a sentence has only known concepts. Sentences of reports repeat from study to study."""

    def reduce(self, sentence: str) -> str:
        """Return a sentence of known concepts without words that refer to another sentence ("otherwise"), or nothing.

        Fragments are removed as well: without any statement about a finding, or with an end like "are within".
        """
        text = self._removed.sub("", sentence).strip(" ,;:[]<>-").replace(" ,", ",")
        if not text or is_fragment(text) or not self.covers(text):
            return ""
        text = text[:1].upper() + text[1:]
        return text if text[-1] in ".?!" else f"{text}."

    def is_complete(self, sections: Sequence[Section]) -> bool:
        """Return whether a report is complete, so that it may be a training text. Two conditions must hold.

        1. The report states a finding, or denies one finding of each group that normal reports deny.
        2. The impression, if there is one, states a finding. If the report states no finding or only minor ones, the
           impression may call the study normal instead.
        """
        stated = self._stated(" ".join(section.text for section in sections))
        if not stated and not self._denies_enough(" ".join(section.text for section in sections)):
            return False
        impressions = [section.text for section in sections if section.name is SectionName.IMPRESSION]
        return all(self._stated(text) or (stated <= self._minor and self._calls_normal(text)) for text in impressions)

    def _stated(self, text: str) -> set[str]:
        states = label_findings(text, self._schema)
        return {name for name in self._schema.stated if states[name].is_stated}

    def _denies_enough(self, text: str) -> bool:
        """Return whether a text denies one finding of each group that normal reports deny."""
        states = label_findings(text, self._schema)
        return all(any(states[name] is FindingState.ABSENT for name in group) for group in self._denied)

    def _calls_normal(self, text: str) -> bool:
        """Return whether a text says in so many words that the study is normal; "clear lungs" is not enough."""
        statements = finding_labeler(self._schema).read_statements(text)
        return any(one.finding == self._schema.normal and one.state is FindingState.PRESENT for one in statements)

    def _covers(self, sentence: str) -> bool:
        if self._never.search(sentence):
            return False
        labeler = finding_labeler(self._schema)
        statements = labeler.read_statements(sentence)
        if not any(statement.finding in self._findings for statement in statements):
            return False
        if any(one.state.is_stated and one.finding not in self._findings for one in statements):
            return False
        covered = [(place.start, place.end) for place in labeler.vocabulary.find_places(sentence)]
        for phrase in labeler.vocabulary.find_phrases(sentence):
            if any(name not in self._findings for name, _ in (*phrase.claims, *phrase.denied)):
                return False
            if phrase.role in _KNOWN_ROLES or (phrase.role is Role.ANATOMY and phrase.name in self._anatomies):
                covered.append((phrase.start, phrase.end))
        return all(
            word[0].lower() in self._words or any(start <= word.start() < end for start, end in covered)
            for word in _WORD.finditer(sentence)
        )


_KNOWN_ROLES = (
    Role.FINDING,
    Role.QUALITY,
    Role.SIDE,
    Role.NEGATED_BEFORE,
    Role.NEGATED_AFTER,
    Role.UNCERTAIN_BEFORE,
    Role.UNCERTAIN_PHRASE,
    Role.UNCERTAIN_AFTER,
)
_WORD = re.compile(r"[^\W\d_]+|\d+")


@cache
def _read(vocabulary: str) -> dict[str, Any]:
    file = files(__package__) / "known_concepts" / f"{vocabulary}.toml"
    if not file.is_file():
        raise RecipeError(
            "text.drop_unknown_concepts needs a list of known concepts, and these findings have none; set it to "
            "false, or use findings = 'chest_xray'"
        )
    return tomllib.loads(file.read_text(encoding="utf-8"))
