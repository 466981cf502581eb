"""Visual tokens and prompts to finished texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from report_gen.auditing.text_audit import has_deidentification_mark
from report_gen.generation.decoding import Decoding, Generated, generate_ids
from report_gen.generation.reranking import consistent, inconsistency, most_agreed
from report_gen.model import Checkpoint
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import AttributeName, Section, Sentence, parse_report
from report_gen.tokenizer import ReportTokenizer


@dataclass(frozen=True)
class GeneratedText:
    """A text with the model's confidence in each sentence."""

    sections: tuple[Section, ...]
    confidence: float | None
    """0..1: geometric mean of the probabilities of all its tokens."""

    @property
    def text(self) -> str:
        return "\n".join(section.text for section in self.sections)


def generate(
    checkpoint: Checkpoint,
    *,
    visual_tokens: torch.Tensor,
    visual_mask: torch.Tensor,
    prompt_ids: Sequence[Sequence[int]],
    states: Sequence[Sequence[FindingState]],
    attributes: Sequence[Mapping[AttributeName, str]] | None = None,
    decoding: Decoding,
) -> list[GeneratedText]:
    """Write a text per row of visual_tokens [B,K,D_txt], and keep the best of its candidates; see `choosing.py`.

    Args:
        states: what the decoder is told, one of each finding a row.
        attributes: what it is told of modality, plane and body part, "" for nothing.
    """

    def texts(rows: Sequence[int], decoding: Decoding) -> list[GeneratedText]:
        generated = generate_ids(
            checkpoint.model,
            visual_tokens=visual_tokens[list(rows)],
            visual_mask=visual_mask[list(rows)],
            prompt_ids=[prompt_ids[row] for row in rows],
            decoding=decoding,
        )
        return [compose(ids, checkpoint.tokenizer) for ids in generated]

    rows, schema = range(len(states)), checkpoint.model.config.finding_schema
    # Sampling goes one by one, so that what is drawn for a study does not depend on its neighbours in the batch.
    alone = decoding.method == "sample"
    firsts = [texts([row], decoding)[0] for row in rows] if alone else texts(rows, decoding)
    rivals = replace(decoding, method="sample", seed=decoding.seed + 1)
    attributes = attributes or [{} for _ in rows]
    chosen = []
    for row, candidates in enumerate([first] for first in firsts):
        told = any(state is not FindingState.UNKNOWN for state in states[row])
        if decoding.candidates > 1 and not (
            told and _is_consistent(candidates[0], states[row], attributes[row], schema)
        ):
            candidates += texts([row] * (decoding.candidates - 1), rivals)
        if told:
            chosen.append(min(candidates, key=partial(_flaws, states[row], attributes[row], schema)))
        else:
            candidates = [candidates[place] for place in consistent([one.text for one in candidates], attributes[row])]
            chosen.append(candidates[most_agreed([candidate.text for candidate in candidates])])
    return chosen


def compose(generated: Generated, tokenizer: ReportTokenizer) -> GeneratedText:
    """Token ids to sections; without sentences that bear a de-identification mark or stand there already."""
    text = _decode(generated.token_ids, tokenizer)
    ends = [len(_decode(generated.token_ids[: index + 1], tokenizer)) for index in range(len(generated.token_ids))]
    position, sections = 0, []
    for section in parse_report(text):
        sentences: dict[str, Sentence] = {}
        for sentence in section.sentences:
            start = text.index(sentence.text, position)
            position = start + len(sentence.text)
            inside = [p for p, end in zip(generated.probabilities, ends, strict=True) if start < end <= position]
            if has_deidentification_mark(sentence.text):
                continue
            sentences.setdefault(sentence.text, Sentence(sentence.text, _geometric_mean(inside)))
        if sentences:
            sections.append(Section(section.name, tuple(sentences.values())))
    return GeneratedText(tuple(sections), _geometric_mean(generated.probabilities))


def _decode(token_ids: Sequence[int], tokenizer: ReportTokenizer) -> str:
    """The text with single blanks, as its sentences will be: a model may write several in a row."""
    return " ".join(tokenizer.decode(token_ids).split())


def _is_consistent(
    written: GeneratedText,
    states: Sequence[FindingState],
    attributes: Mapping[AttributeName, str],
    schema: FindingSchema,
) -> bool:
    return inconsistency(written.text, states, attributes, schema=schema) == 0


def _flaws(
    states: Sequence[FindingState],
    attributes: Mapping[AttributeName, str],
    schema: FindingSchema,
    written: GeneratedText,
) -> float:
    """Unfaithfulness, and up to one for a text that the model itself hardly believes."""
    return inconsistency(written.text, states, attributes, schema=schema) + 1 - (written.confidence or 0.0)


def _geometric_mean(probabilities: Sequence[float]) -> float | None:
    if not probabilities:
        return None
    return math.exp(sum(math.log(max(p, 1e-12)) for p in probabilities) / len(probabilities))
