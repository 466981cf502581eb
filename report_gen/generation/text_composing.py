"""Turn generated tokens into the sections of a report, and remove what the conditioning does not support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from report_gen.auditing import has_deidentification_mark, remove_unsupported, remove_unsupported_sides
from report_gen.generation.confidence import geometric_mean
from report_gen.generation.tokens import GeneratedTokens
from report_gen.labeling import contradicted_attributes
from report_gen.records import (
    AttributeName,
    FindingLocation,
    FindingSchema,
    FindingState,
    Section,
    Sentence,
    parse_report,
)
from report_gen.tokenizer import ReportTokenizer


@dataclass(frozen=True)
class GeneratedText:
    """A text with the confidence of the model in each sentence."""

    sections: tuple[Section, ...]
    confidence: float | None
    """0..1: geometric mean of the probabilities of all tokens; None for an empty text."""
    removed: int = 0
    """Number of sentences that `Decoding.remove_unsupported` removed."""
    unsided: int = 0
    """Number of sentences that `Decoding.remove_unsupported` changed or removed because of a side."""
    contradicting: int = 0
    """Number of sentences that `Decoding.remove_unsupported` removed because of a modality, plane or body part."""
    ended: bool = True
    """Whether the model ended the text; False if it was cut at its maximum length."""
    finite: bool = True
    """Whether all probabilities of the model are finite."""
    doubtful_words: int = 0
    """Number of words that a token continues with a probability below `_DOUBTFUL`: "sizedular", "rightlung"."""

    @property
    def text(self) -> str:
        """The sections without headings, one per line."""
        return "\n".join(section.text for section in self.sections)


_DOUBTFUL = 0.35
"""Probability below which a continuation is doubtful. In 262 candidates for abnormal studies, this limit marked six of
nine invented words and about 0.1% of the other words."""


def compose_text(tokens: GeneratedTokens, tokenizer: ReportTokenizer) -> GeneratedText:
    """Turn token ids into sections.

    Sentences with a de-identification mark are left out, and so are repetitions of a sentence within its section.
    """
    text = _decode(tokens.token_ids, tokenizer)
    ends = [len(_decode(tokens.token_ids[: count + 1], tokenizer)) for count in range(len(tokens.token_ids))]
    position, sections = 0, []
    for section in parse_report(text):
        sentences: dict[str, Sentence] = {}
        for sentence in section.sentences:
            start = text.index(sentence.text, position)
            position = start + len(sentence.text)
            inside = [p for p, end in zip(tokens.probabilities, ends, strict=True) if start < end <= position]
            if not has_deidentification_mark(sentence.text):
                sentences.setdefault(sentence.text, Sentence(sentence.text, geometric_mean(inside)))
        if sentences:
            sections.append(Section(section.name, tuple(sentences.values())))
    return GeneratedText(
        tuple(sections),
        geometric_mean(tokens.probabilities),
        ended=tokens.ended,
        finite=tokens.finite,
        doubtful_words=_count_doubtful_words(text, ends, tokens.probabilities),
    )


def _count_doubtful_words(text: str, ends: Sequence[int], probabilities: Sequence[float]) -> int:
    """Return the number of words with an improbable continuation.

    Args:
        text: The decoded text.
        ends: Position after each token in the text.
        probabilities: Probability of each token.
    """
    doubtful = [end for end, probability in zip(ends[:-1], probabilities[1:], strict=True) if probability < _DOUBTFUL]
    inside = [end for end in doubtful if text[end - 1 : end].isalpha() and text[end : end + 1].isalpha()]
    return len({text.rfind(" ", 0, end) for end in inside})


def without_unsupported(
    text: GeneratedText, states: Sequence[FindingState], locations: Sequence[FindingLocation], schema: FindingSchema
) -> GeneratedText:
    """Return the text without the sentences and sides that finding states [F] and locations [F] do not support."""
    sections, removed = remove_unsupported(text.sections, states, schema)
    unsided = 0
    if locations:
        sections, unsided = remove_unsupported_sides(sections, locations, schema)
    return replace(text, sections=sections, removed=removed, unsided=unsided)


def without_contradictions(text: GeneratedText, stated: Mapping[AttributeName, str]) -> GeneratedText:
    """Return the text without the sentences that name another modality, plane or body part than the stated ones."""
    sections, removed = [], 0
    for section in text.sections:
        kept = tuple(one for one in section.sentences if not contradicted_attributes(one.text, stated))
        removed += len(section.sentences) - len(kept)
        if kept:
            sections.append(replace(section, sentences=kept))
    return replace(text, sections=tuple(sections), contradicting=removed)


def _decode(token_ids: Sequence[int], tokenizer: ReportTokenizer) -> str:
    """Decode with single blanks, as sentences have them: a model may generate several blanks in a row."""
    return " ".join(tokenizer.decode(token_ids).split())
