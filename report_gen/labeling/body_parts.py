"""Recognize texts about other parts of the body than those of a finding schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from report_gen.labeling.attributes import mentioned_values, named_values
from report_gen.labeling.phrase_language import phrase_pattern


@dataclass(frozen=True)
class OtherBodyParts:
    """How to recognize a text about another part of the body. The values are those of `attributes.toml`."""

    own: str
    """Body part of the schema."""
    own_words: re.Pattern[str]
    """Words that occur in almost every text about the body part. They are searched first, because that is fast."""
    other_words: re.Pattern[str]
    """Further words for body parts that the images of the schema never show."""
    never_shown: frozenset[str]
    """Body parts that the images of the schema never show."""
    modalities: frozenset[str]
    """Modalities whose images of any other body part do not show the body part of the schema."""

    def describes(self, text: str) -> bool:
        """Return whether a text names another part of the body and not the one of the schema.

        A text that names no body part may be about the schema's.
        """
        if self.own_words.search(text) or self.own in mentioned_values("body_part", text):
            return False
        if self.other_words.search(text):
            return True
        named = named_values("body_part", text)
        if not named:
            return False
        return not self.never_shown.isdisjoint(named) or not self.modalities.isdisjoint(named_values("modality", text))


def read_other_body_parts(entry: Mapping[str, Any]) -> OtherBodyParts:
    """Return the rule in the table `other_body_parts` of a vocabulary."""
    return OtherBodyParts(
        own=entry["own"],
        own_words=_pattern(entry["own_words"]),
        other_words=_pattern(entry["other_words"]),
        never_shown=frozenset(entry["never_shown"]),
        modalities=frozenset(entry["modalities"]),
    )


def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(phrase_pattern, phrases))})", re.IGNORECASE)
