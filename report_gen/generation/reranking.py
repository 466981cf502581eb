"""Of several texts for one study, the one to keep.

Where the decoder was told states, it is the one that says them, and nothing that it could not know. Where it was told
none, only the images can have spoken: then it is the text that the others agree with most, of those that name no other
modality, plane or body part than was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from types import MappingProxyType

from report_gen.auditing.text_audit import audit_text
from report_gen.labeling.attributes import contradictions
from report_gen.labeling.labeler import findings_in_state, label_findings
from report_gen.metrics.pairs import Pairs
from report_gen.metrics.rouge import rouge_l_coco
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import AttributeName, split_sentences

_FAULT: dict[tuple[FindingState, FindingState], float] = {
    (FindingState.PRESENT, FindingState.UNCERTAIN): 0.5,
    (FindingState.PRESENT, FindingState.ABSENT): 2.0,
    (FindingState.PRESENT, FindingState.NOT_MENTIONED): 1.0,
    (FindingState.ABSENT, FindingState.PRESENT): 2.0,
    (FindingState.ABSENT, FindingState.UNCERTAIN): 1.0,
    (FindingState.UNCERTAIN, FindingState.PRESENT): 1.0,
    (FindingState.UNCERTAIN, FindingState.ABSENT): 1.0,
    (FindingState.UNCERTAIN, FindingState.NOT_MENTIONED): 0.5,
    (FindingState.UNKNOWN, FindingState.PRESENT): 1.0,
    (FindingState.UNKNOWN, FindingState.UNCERTAIN): 0.5,
}
"""Weight of (told, said). A contradiction counts twice an omission; an absent finding need not be mentioned."""

_MISNAMED = 2.0
"""Weight of an attribute of which another value is named: as a contradiction."""


def most_agreed(texts: Sequence[str]) -> int:
    """Which of the texts has the highest mean ROUGE-L against the others: the one with the least expected loss, if they
    are samples of what the model believes (minimum Bayes risk; Eikema & Aziz, COLING 2020). The first of several.
    """
    candidates, others = zip(*product(texts, repeat=2), strict=True)
    rouge = rouge_l_coco(Pairs(candidates, others)).per_report.reshape(len(texts), len(texts))
    return int(rouge.mean(axis=1).argmax())  # every text agrees with itself alike


def consistent(texts: Sequence[str], attributes: Mapping[AttributeName, str]) -> list[int]:
    """Places of the texts that name the fewest modalities, planes and body parts other than those told; in order."""
    misnamed = [len(contradictions(text, attributes)) for text in texts]
    return [place for place, count in enumerate(misnamed) if count == min(misnamed)]


def inconsistency(
    text: str,
    told: Sequence[FindingState],
    attributes: Mapping[AttributeName, str] = MappingProxyType({}),
    *,
    schema: FindingSchema,
) -> float:
    """Weighted count of findings on which a text departs from its states [F], plus one a flaw and two for each of the
    attributes of which it names another value.

    Flaws are those of `audit_text`, and findings that a sentence denies, if only by "lungs are clear", beside others
    that state them.
    """
    stated = findings_in_state(text, FindingState.PRESENT, schema)
    denied = [
        findings_in_state(sentence.text, FindingState.ABSENT, schema) & stated for sentence in split_sentences(text)
    ]
    misnamed = _MISNAMED * len(contradictions(text, attributes))
    return mismatch_score(text, told, schema) + len(audit_text(text)) + sum(map(len, denied)) + misnamed


def mismatch_score(text: str, told: Sequence[FindingState], schema: FindingSchema) -> float:
    """Weighted count of findings on which a text departs from the states [F] it was told; 0 is faithful."""
    return sum(_FAULT.get((state, said), 0.0) for _, state, said in _compared(text, told, schema))


def mismatched_findings(text: str, told: Sequence[FindingState], schema: FindingSchema) -> tuple[str, ...]:
    """Names of the findings on which a text departs from what it was told."""
    return tuple(name for name, state, said in _compared(text, told, schema) if _FAULT.get((state, said), 0.0) > 0.5)


def _compared(
    text: str, told: Sequence[FindingState], schema: FindingSchema
) -> list[tuple[str, FindingState, FindingState]]:
    """Name, conditioned state and stated state of every finding but the one that follows from the others."""
    conditioned, stated = dict(zip(schema.findings, told, strict=True)), label_findings(text, schema)
    return [(name, conditioned[name], stated[name]) for name in schema.stated]
