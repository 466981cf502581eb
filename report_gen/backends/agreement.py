"""Choose among sampled texts of one study by their agreement, which replaces missing token probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from report_gen.generation import GeneratedText, most_agreed
from report_gen.metrics import Pairs, rouge_score
from report_gen.records import Sentence


def with_agreement(texts: Sequence[GeneratedText]) -> tuple[int, GeneratedText]:
    """Choose the text that agrees most with the others, and give its sentences a confidence if they have none.

    The confidence of a sentence is its agreement with the other texts: the mean over them of the largest ROUGE-L F1 of
    the sentence with one of their sentences; 0 for a text without sentences. The confidence of the text is the mean
    over its sentences. Agreement measures how stable the words are if the model generates again. It is not a
    probability, cannot be compared with token probabilities, and does not say that a statement is true: a model that
    always writes the same normal report has an agreement of 1. A denial and a statement with the same words have nearly
    the same agreement.

    Args:
        texts: The texts of one study, at least one. Texts without sections are not chosen if another one has sections.

    Returns:
        The index of the chosen text, and the text. A single text, and one with token probabilities, stays as it is.
    """
    usable = [index for index, text in enumerate(texts) if text.sections] or list(range(len(texts)))
    chosen = usable[most_agreed([texts[index].text for index in usable])]
    text = texts[chosen]
    others = [other for index, other in enumerate(texts) if index != chosen]
    if not others or not text.sections or text.confidence is not None:
        return chosen, text
    sections = tuple(
        replace(
            section,
            sentences=tuple(replace(one, confidence=_agreement(one, others)) for one in section.sentences),
        )
        for section in text.sections
    )
    confidence = fmean(one.confidence or 0.0 for section in sections for one in section.sentences)
    return chosen, replace(text, sections=sections, confidence=confidence)


def _agreement(sentence: Sentence, others: Sequence[GeneratedText]) -> float:
    """Return the mean over other texts of the largest ROUGE-L F1 of the sentence with one of their sentences, 0..1."""
    return fmean(
        _closest(sentence.text, [one.text for part in other.sections for one in part.sentences]) for other in others
    )


def _closest(sentence: str, candidates: Sequence[str]) -> float:
    if not candidates:
        return 0.0
    measure = rouge_score(Pairs([sentence] * len(candidates), candidates))
    return float(measure.per_report[:, measure.names.index("ROUGE-L (rouge-score)")].max())
