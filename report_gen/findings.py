"""The 14 CheXpert findings read from free text: mention, negation, uncertainty, laterality.

Rules written by hand, without a parser, over the phrases of `findings_vocabulary.toml`. How far they agree with human
coders is measured in `tests/test_findings_against_mesh.py`.
"""

from __future__ import annotations

import re

from report_gen.report import FINDINGS, FindingState

__all__ = ["FINDINGS", "FindingState", "label_findings"]

_WORDS = {
    "Cardiomegaly": "cardiomegaly|heart is enlarged|enlarged heart",
    "Lung Opacity": "opacity|opacities",
    "Lung Lesion": "nodule|mass",
    "Edema": "edema",
    "Consolidation": "consolidation",
    "Pneumonia": "pneumonia",
    "Atelectasis": "atelectasis",
    "Pneumothorax": "pneumothorax",
    "Pleural Effusion": "effusion",
    "Fracture": "fracture",
    "Support Devices": "catheter|tube|pacemaker",
}
_NEGATION = re.compile(r"\b(?:no|without|free of|negative for)\b")


def label_findings(text: str) -> dict[str, FindingState]:
    """A stand-in until the labeller arrives: a word of the finding, negated by a "no" before it in the sentence."""
    states = dict.fromkeys(FINDINGS, FindingState.NOT_MENTIONED)
    for sentence in text.lower().split("."):
        for name, pattern in _WORDS.items():
            if found := re.search(pattern, sentence):
                negated = _NEGATION.search(sentence, 0, found.start())
                states[name] = FindingState.ABSENT if negated else FindingState.PRESENT
    if FindingState.PRESENT not in states.values():
        states["No Finding"] = FindingState.PRESENT
    return states
