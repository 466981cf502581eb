"""A study as a model is taught it: token ids, states of the findings, targets of the finding head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from report_gen.config import STATES
from report_gen.labeling.labeler import label_findings
from report_gen.prompting import Prompt, describe_views, render
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import UNKNOWN_ATTRIBUTES, Section, format_report, parse_report
from report_gen.records.study import ViewPosition
from report_gen.tokenizer import ReportTokenizer

from .studies import Study

_TARGETS = {FindingState.PRESENT: 1.0, FindingState.ABSENT: 0.0, FindingState.NOT_MENTIONED: 0.0}
"""Head targets where a corpus has reports but no labels; an uncertain finding teaches nothing."""


@dataclass(frozen=True)
class TrainingExample:
    """A study as arrays."""

    study_id: str
    patient_id: str
    images: tuple[Path, ...]
    views: tuple[ViewPosition, ...]
    prompts: tuple[tuple[int, ...], ...]
    """Token ids of the prompt, with the indication first and without it last."""
    report_ids: tuple[int, ...]
    abnormal: tuple[bool, ...]
    """Of every report token: whether its sentence states a finding, be it as uncertain."""
    reference: str
    """The report that the ids spell, as `parse_report` reads it."""
    states: NDArray[np.int64]
    """[F], indices into STATES, as the text has them."""
    labels: NDArray[np.float32]
    """[F] 1 or 0 as the corpus or else the text has them, NaN where nothing is known."""
    targets: NDArray[np.float32]
    """[F] 0..1 of the finding head: the labels, or softer; NaN where nothing is known."""
    attributes: tuple[str, ...] = UNKNOWN_ATTRIBUTES
    """Values in the order of `ATTRIBUTES`, empty where nothing is known."""


def encode_study(
    study: Study, tokenizer: ReportTokenizer, prompt: Prompt, longest: int, schema: FindingSchema
) -> TrainingExample:
    """Encode one study as token ids, finding states and targets.

    A report of more than `longest` tokens is cut at a sentence.
    """
    states = _states(study, schema)
    labels, targets = study.labels, study.targets
    if study.images and study.sections and np.isnan(targets).all():
        labels = targets = np.array([_TARGETS.get(STATES[state], np.nan) for state in states], dtype=np.float32)
    written = _write(study.sections, tokenizer, longest, schema)
    return TrainingExample(
        study_id=study.study_id,
        patient_id=study.patient_id,
        images=study.images,
        views=study.views,
        prompts=tuple(_prompts(study, tokenizer, prompt)),
        report_ids=written.ids,
        abnormal=written.abnormal,
        reference=written.text,
        states=states,
        labels=labels,
        targets=targets,
        attributes=study.attributes,
    )


def _states(study: Study, schema: FindingSchema) -> NDArray[np.int64]:
    labels = label_findings(format_report(study.sections), schema)
    return np.array([STATES.index(labels[name]) for name in schema.findings], dtype=np.int64)


def _prompts(study: Study, tokenizer: ReportTokenizer, prompt: Prompt) -> Iterator[tuple[int, ...]]:
    """Wordings of the prompt; a text without images may have been written for any frontal view."""
    frontal = [(view,) for view in ViewPosition if view.is_frontal]
    views = [study.views] if study.images else [study.views, *frontal, ()]
    for indication in (study.indication, ""):
        for positions in views:
            yield _wording(prompt, indication, positions, tokenizer)


@lru_cache(maxsize=2**10)
def _wording(
    prompt: Prompt, indication: str, views: tuple[ViewPosition, ...], tokenizer: ReportTokenizer
) -> tuple[int, ...]:
    """Those without an indication come again and again."""
    return tuple(tokenizer.encode(render(prompt, indication=indication, views=describe_views(views), technique="")))


@dataclass(frozen=True)
class _Written:
    ids: tuple[int, ...]
    abnormal: tuple[bool, ...]
    text: str


def _write(sections: tuple[Section, ...], tokenizer: ReportTokenizer, longest: int, schema: FindingSchema) -> _Written:
    """A report in tokens. No piece reaches over a blank, so a report is spelled as its sentences are, one by one."""
    spelled = [[tokenizer.encode(sentence.text) for sentence in section.sentences] for section in sections]
    headings = [tokenizer.encode(f"{section.name.value}:") for section in sections]
    _shorten(spelled, longest - sum(map(len, headings)))
    ids: list[int] = []
    abnormal: list[bool] = []
    for section, heading, sentences in zip(sections, headings, spelled, strict=True):
        ids += heading
        abnormal += [False] * len(heading)
        for sentence, pieces in zip(section.sentences, sentences, strict=False):
            ids += pieces
            abnormal += [_states_a_finding(sentence.text, schema)] * len(pieces)
    kept = tuple(Section(s.name, s.sentences[: len(kept)]) for s, kept in zip(sections, spelled, strict=True))
    text = format_report(kept) if len(ids) <= longest else format_report(parse_report(tokenizer.decode(ids[:longest])))
    return _Written(tuple(ids[:longest]), tuple(abnormal[:longest]), text)


def _shorten(spelled: list[list[list[int]]], longest: int) -> None:
    """From a report that is too long sentences go, the last of the longest section first; one is left in each."""
    length = sum(len(pieces) for sentences in spelled for pieces in sentences)
    while length > longest and len(longer := max(spelled, key=len)) > 1:
        length -= len(longer.pop())


@lru_cache(maxsize=2**16)
def _states_a_finding(sentence: str, schema: FindingSchema) -> bool:
    """Sentences of reports repeat themselves, so most are known already."""
    states = label_findings(sentence, schema)
    return any(states[name] in (FindingState.PRESENT, FindingState.UNCERTAIN) for name in schema.stated)
