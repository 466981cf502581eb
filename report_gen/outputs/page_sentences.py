"""Compose the sentences on the page of a draft, their marks and the meaning of the marks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from report_gen.outputs.probability_text import probability_text
from report_gen.records import ConfidenceKind, Report, Sentence

_MEDIUM, _HIGH = 0.5, 0.8
"""Confidence from which a sentence has the mark of medium and of high confidence."""
_NO_TRUTH = (
    "It does not measure whether a finding is true: false sentences can have a high value. Check every sentence."
)
_MEANINGS: Mapping[ConfidenceKind, str] = MappingProxyType(
    {
        "token probability": "Word confidence: how sure the decoder was of its choice of words (geometric mean of "
        f"their probabilities). {_NO_TRUTH}",
        "agreement": "Agreement: how similar the sentence is to the other texts that the model wrote about this study "
        f"(mean ROUGE-L). {_NO_TRUTH}",
    }
)
"""What the number beside a sentence means."""


def sentence_content(report: Report) -> dict[str, Any]:
    """Return the values of the template about the sections. Without any confidence there are no marks to explain."""
    return {
        "sections": [
            {"name": section.name.value.capitalize(), "sentences": list(map(_sentence, section.sentences))}
            for section in report.sections
        ],
        "has_confidence": report.has_confidence,
        "confidence_note": _MEANINGS[report.provenance.confidence],
    }


def _sentence(sentence: Sentence) -> dict[str, str]:
    if sentence.confidence is None:
        return {"text": sentence.text, "level": "none", "confidence": ""}
    confidence = round(sentence.confidence, 2)  # the mark belongs to the number that the reader sees
    level = "high" if confidence >= _HIGH else "medium" if confidence >= _MEDIUM else "low"
    return {"text": sentence.text, "level": level, "confidence": probability_text(sentence.confidence)}
