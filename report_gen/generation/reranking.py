"""Select one of several candidate texts for a study.

If the decoder was conditioned on finding states, the candidate that agrees with them best is kept. If all states are
unknown, only the images can have informed the text; then the candidate that the others agree with most is kept, among
those that contradict the fewest attributes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from types import MappingProxyType

from report_gen.auditing import (
    audit_text,
    find_disagreements,
    find_repeated_findings,
    findings_in_one_section,
    is_fragment,
)
from report_gen.generation.text_composing import GeneratedText
from report_gen.labeling import (
    contradicted_attributes,
    findings_in_state,
    label_findings,
    locate_findings,
    mismatched_attributes,
    named_values,
)
from report_gen.metrics import Pairs, rouge_l_coco
from report_gen.records import AttributeName, FindingLocation, FindingSchema, FindingState, split_sentences

_NO_ATTRIBUTES: Mapping[AttributeName, str] = MappingProxyType({})

_MISMATCH: Mapping[tuple[FindingState, FindingState], float] = MappingProxyType(
    {
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
)
"""Weight of (state that conditioned the decoder, state in the text); 0 for pairs that are not listed.

A contradiction weighs twice as much as an omission. An absent finding need not be mentioned.
"""

_REPEATED_FINDING = 0.5
"""Weight of a finding that a section states again: less than that of an omitted finding."""

_DISAGREEMENT = 1.0
"""Weight of a finding with contradictory degrees, or with another side in IMPRESSION than in FINDINGS."""

_ONE_SECTION = 0.1
"""Weight of an abnormality that only one of FINDINGS and IMPRESSION states, as in many reports of radiologists.

The weight is small, so that it decides only among texts that are equally consistent otherwise. With 0.25 or more, texts
that leave out predicted findings were preferred (notebooks/lab_book.md).
"""

_ATTRIBUTE_MISMATCH = 2.0
"""Weight of an attribute for which the text names another value: as much as a contradicted finding."""


def select_candidate(
    candidates: Sequence[GeneratedText],
    states: Sequence[FindingState],
    attributes: Mapping[AttributeName, str] = _NO_ATTRIBUTES,
    locations: Sequence[FindingLocation] = (),
    *,
    schema: FindingSchema,
) -> GeneratedText:
    """Return the candidate to keep; of several equally good ones the first.

    Args:
        candidates: One text or more.
        states: The finding states [F] that conditioned the decoder.
        attributes: The attributes that conditioned the decoder, "" for unknown.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
        schema: The F findings of the model.
    """
    if len(candidates) == 1:
        return candidates[0]
    if not _any_known(states):
        allowed = fewest_contradictions([one.text for one in candidates], attributes)
        return candidates[allowed[most_agreed([candidates[index].text for index in allowed])]]
    # A low confidence costs at most 1, as much as an omitted finding or a doubtful word.
    costs = [
        inconsistency(one, states, attributes, locations, schema=schema)
        + _ONE_SECTION * sum(map(len, findings_in_one_section(one.sections, schema).values()))
        + 1
        - (one.confidence or 0.0)
        + one.doubtful_words
        for one in candidates
    ]
    return candidates[costs.index(min(costs))]


def needs_candidates(
    text: GeneratedText,
    states: Sequence[FindingState],
    attributes: Mapping[AttributeName, str] = _NO_ATTRIBUTES,
    locations: Sequence[FindingLocation] = (),
    *,
    schema: FindingSchema,
) -> bool:
    """Return whether further candidates can improve on a text: if it is inconsistent, or all states are unknown.

    Args:
        text: The generated text.
        states: The finding states [F] that conditioned the decoder.
        attributes: The attributes that conditioned the decoder, "" for unknown.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
        schema: The F findings of the model.
    """
    return not _any_known(states) or inconsistency(text, states, attributes, locations, schema=schema) > 0


def most_agreed(texts: Sequence[str]) -> int:
    """Return the index of the text with the highest mean ROUGE-L against the others; of several the first.

    If the texts are samples of the model's distribution, this is the text with the least expected loss (minimum Bayes
    risk decoding; Eikema & Aziz, COLING 2020).
    """
    candidates, others = zip(*product(texts, repeat=2), strict=True)
    rouge = rouge_l_coco(Pairs(candidates, others)).per_report.reshape(len(texts), len(texts))
    return int(rouge.mean(axis=1).argmax())  # every text agrees with itself, which adds the same to each mean


def fewest_contradictions(texts: Sequence[str], attributes: Mapping[AttributeName, str]) -> list[int]:
    """Return the indices of the texts that contradict the fewest attributes, in order."""
    counts = [len(mismatched_attributes(text, attributes)) for text in texts]
    return [index for index, count in enumerate(counts) if count == min(counts)]


def fewest_claims(
    texts: Sequence[str], certain: Mapping[AttributeName, str], unnamed: Collection[AttributeName] = ()
) -> list[int]:
    """Return the indices, in order, of the texts with the fewest claims about attributes that are not supported.

    Args:
        texts: The candidates.
        certain: As in `claimed_attributes`.
        unnamed: As in `claimed_attributes`.
    """
    counts = [len(claimed_attributes(text, certain, unnamed)) for text in texts]
    return [index for index, count in enumerate(counts) if count == min(counts)]


def claimed_attributes(
    text: str, certain: Mapping[AttributeName, str], unnamed: Collection[AttributeName] = ()
) -> tuple[AttributeName, ...]:
    """Return the attributes for which a text names a value that the study does not support.

    Args:
        text: A report.
        certain: The attributes that the header or the reader states, and those whose predicted probability reaches
            their threshold. A text that names another value beside the certain one contradicts it as well.
        unnamed: Attributes of which the model is uncertain, so that a text should not name them.
    """
    named = tuple(name for name in unnamed if named_values(name, text))
    return contradicted_attributes(text, certain) + named


def inconsistency(
    generated: GeneratedText,
    states: Sequence[FindingState],
    attributes: Mapping[AttributeName, str] = _NO_ATTRIBUTES,
    locations: Sequence[FindingLocation] = (),
    *,
    schema: FindingSchema,
) -> float:
    """Return how much a text contradicts its conditioning and itself, and how badly it is formed; 0 means not at all.

    The result is the sum of `mismatch_score`, `location_mismatch`, 1 for each flag of `audit_text`, 1 for each finding
    that one sentence denies (also as part of "lungs are clear") and another states, 1 for each of `find_disagreements`,
    2 for each contradicted attribute, 1 for each fragment of a sentence, and 0.5 for each finding that a further
    sentence of a section states again.

    Args:
        generated: The generated text.
        states: The finding states [F] that conditioned the decoder.
        attributes: The attributes that conditioned the decoder, "" for unknown.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
        schema: The F findings of the model.
    """
    text = generated.text
    present = findings_in_state(text, FindingState.PRESENT, schema)
    sentences = [sentence.text for sentence in split_sentences(text)]
    denied = [findings_in_state(sentence, FindingState.ABSENT, schema) & present for sentence in sentences]
    contradicted = _ATTRIBUTE_MISMATCH * len(mismatched_attributes(text, attributes))
    mismatch = mismatch_score(text, states, schema) + location_mismatch(text, locations, schema)
    fragments = sum(map(is_fragment, sentences))
    repeated = sum(_REPEATED_FINDING * len(find_repeated_findings(section, schema)) for section in text.splitlines())
    disagreements = _DISAGREEMENT * len(find_disagreements(generated.sections, schema))
    itself = len(audit_text(text, schema)) + sum(map(len, denied)) + disagreements + fragments + repeated
    return mismatch + contradicted + itself


def mismatch_score(text: str, states: Sequence[FindingState], schema: FindingSchema) -> float:
    """Return the weighted count of findings on which a text differs from the states [F] of the conditioning.

    Args:
        text: A report.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
    """
    return sum(_MISMATCH.get((state, in_text), 0.0) for _, state, in_text in _compare(text, states, schema))


def location_mismatch(text: str, locations: Sequence[FindingLocation], schema: FindingSchema) -> float:
    """Return the weighted count of findings that a text states elsewhere than the conditioning.

    A side that the conditioning does not contain weighs 2, or 1 if the conditioning has no side. Zones weigh 1 if text
    and conditioning have none in common. A side of the conditioning that the text omits weighs 0.5.

    Args:
        text: A report.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
        schema: The F findings of the model.
    """
    if not locations:
        return 0.0
    conditioning, stated = dict(zip(schema.findings, locations, strict=True)), locate_findings(text, schema)
    return sum(_compare_locations(conditioning[name], in_text) for name, in_text in stated.items())


def mismatched_locations(text: str, locations: Sequence[FindingLocation], schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of the findings that a text states on a side that the conditioning does not contain.

    Args:
        text: A report.
        locations: The locations [F] that conditioned the decoder; empty for a model without locations.
        schema: The F findings of the model.
    """
    conditioning = dict(zip(schema.findings, locations, strict=True)) if locations else {}
    stated = locate_findings(text, schema) if conditioning else {}
    return tuple(name for name, in_text in stated.items() if in_text.sides - conditioning[name].sides)


def mismatched_findings(text: str, states: Sequence[FindingState], schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of the findings on which a text differs from the states [F] that conditioned the decoder.

    A difference in certainty alone, such as a present finding called possible, is not reported.

    Args:
        text: A report.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.
    """
    compared = _compare(text, states, schema)
    return tuple(name for name, state, in_text in compared if _MISMATCH.get((state, in_text), 0.0) > 0.5)


def _compare_locations(conditioning: FindingLocation, in_text: FindingLocation) -> float:
    known, stated = conditioning.sides, in_text.sides
    cost = 0.0
    if stated - known:
        cost += 2.0 if known else 1.0
    elif known - stated:
        cost += 0.5
    if conditioning.zones and in_text.zones and not conditioning.zones & in_text.zones:
        cost += 1.0
    return cost


def _any_known(states: Sequence[FindingState]) -> bool:
    return any(state is not FindingState.UNKNOWN for state in states)


def _compare(
    text: str, states: Sequence[FindingState], schema: FindingSchema
) -> list[tuple[str, FindingState, FindingState]]:
    """Return name, conditioning state and state in the text of each finding, except the one that means "normal"."""
    conditioning, in_text = dict(zip(schema.findings, states, strict=True)), label_findings(text, schema)
    return [(name, conditioning[name], in_text[name]) for name in schema.stated]
