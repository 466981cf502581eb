"""Corpus texts to what a decoder may learn from: no de-identification marks, and nothing that no draft can know."""

from __future__ import annotations

import re
from collections.abc import Mapping

from report_gen.auditing import has_deidentification_mark, mentions_prior
from report_gen.report import Section, SectionName, Sentence, split_sentences

_SIDE = re.compile(
    r"\b(?:(?:on|to|in) the (?:left|right)(?: side)?(?=[\s,.;]*(?:and|or|with|,|\.|;|$))"
    r"|(?:left|right|bi-?lateral(?:ly)?|unilateral(?:ly)?)(?:[- ]sided)?(?: (?:greater|more|larger|worse) than (?:the )?(?:left|right))?)\b",
    re.IGNORECASE,
)
_ENUMERATION = re.compile(r"(?:(?<=\s)|^)\d{1,2}[.)]\s+(?=[A-Z])")


def clean_report(
    example: Mapping[str, str], *, drop_priors: bool, drop_sides: bool
) -> tuple[Section, ...]:
    """Sections of a corpus example; a section of which no sentence is left is missing."""
    sections = []
    for name in SectionName:
        text = _ENUMERATION.sub("", example[name.lower()])
        sentences = [
            _without_side(sentence.text) if drop_sides else sentence.text
            for sentence in split_sentences(text)
            if _teachable(sentence.text, drop_priors=drop_priors)
        ]
        if kept := tuple(Sentence(text) for text in dict.fromkeys(sentences) if text):
            sections.append(Section(name, kept))
    return tuple(sections)


def _teachable(sentence: str, *, drop_priors: bool) -> bool:
    if has_deidentification_mark(sentence) or not any(letter.isalpha() for letter in sentence):
        return False
    return not (drop_priors and mentions_prior(sentence))


def _without_side(sentence: str) -> str:
    """"Small left pleural effusion." -> "Small pleural effusion." """
    text = re.sub(r"\s+([,.;])", r"\1", " ".join(_SIDE.sub("", sentence).split()))
    return text[:1].upper() + text[1:]
