"""A corpus as a model is taught it: cleaned texts, token ids, states of the findings, targets of the finding head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.findings import label_findings
from report_gen.model.config import STATES
from report_gen.prompting import Prompt, describe_views, render
from report_gen.report import FINDINGS, FindingState, Section, format_report
from report_gen.study import ViewPosition
from report_gen.tokenizer import ReportTokenizer

from .recipe import CorpusRecipe, Recipe, TextRecipe
from .recombining import recombine
from .texts import clean_report, reconcile

_TARGETS = {FindingState.PRESENT: 1.0, FindingState.ABSENT: 0.0, FindingState.NOT_MENTIONED: 0.0}
"""Head targets where a corpus has reports but no labels; an uncertain finding teaches nothing."""


@dataclass(frozen=True)
class Study:
    """A study of a corpus, its text cleaned and cut into sections; either images or sections may be empty."""

    study_id: str
    split: str
    images: tuple[Path, ...]
    views: tuple[ViewPosition, ...]
    indication: str
    sections: tuple[Section, ...]
    targets: NDArray[np.float32]
    """[14] 0..1 of the finding head, NaN where nothing is known."""


@dataclass(frozen=True)
class TrainingExample:
    """A study as arrays."""

    images: tuple[Path, ...]
    views: tuple[ViewPosition, ...]
    prompts: tuple[tuple[int, ...], ...]
    """Token ids of the prompt, with the indication first and without it last."""
    report_ids: tuple[int, ...]
    states: NDArray[np.int64]
    """[14], indices into STATES, as the text has them."""
    targets: NDArray[np.float32]
    """[14] 0..1, NaN where nothing is known."""
    study_id: str = ""
    reference: str = ""
    """The cleaned report, as `parse_report` reads it."""

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether it has images, and whether it has a text. A batch holds one kind."""
        return bool(self.images), bool(self.report_ids)


def read_studies(recipe: Recipe) -> dict[str, list[Study]]:
    """The studies of every corpus by its name.

    Raises:
        CorpusError: a corpus cannot be read, or nothing of it is left.
    """
    return {
        corpus.name: list(_read(recipe.resolve(corpus.path), corpus, recipe.text, recipe.seed))
        for corpus in recipe.corpora
    }


def encode_study(study: Study, tokenizer: ReportTokenizer, prompt: Prompt, longest: int) -> TrainingExample:
    """Token ids, states and targets of one study."""
    states = _states(study)
    targets = study.targets
    if study.images and study.sections and np.isnan(targets).all():
        targets = np.array([_TARGETS.get(STATES[state], np.nan) for state in states], dtype=np.float32)
    return TrainingExample(
        images=study.images,
        views=study.views,
        prompts=tuple(_prompts(study, tokenizer, prompt)),
        report_ids=tuple(_report_ids(study.sections, tokenizer, longest)),
        states=states,
        targets=targets,
        study_id=study.study_id,
        reference=format_report(study.sections),
    )


def _read(path: Path, corpus: CorpusRecipe, text: TextRecipe, seed: int) -> Iterator[Study]:
    dataset = read_corpus(path, layout=corpus.layout, require_images=corpus.use_images)
    targets = _blend(
        np.array(dataset["labels"], dtype=np.float32),
        np.array(dataset["soft_labels"], dtype=np.float32),
        np.array(dataset["split"]) == "train",
        corpus.soft_labels,
    )
    studies = [
        _clean(row, target, corpus, text)
        for row, target in zip(dataset, targets, strict=True)
        if row["study_id"] not in corpus.exclude
    ]
    teaching = [_complete(study, text) for study in studies]
    teaching = [study for study in teaching if study.images or study.sections]
    if not teaching:
        raise CorpusError(f"{path}: nothing is left of the corpus {corpus.name!r}; loosen its text settings")
    yield from teaching
    yield from _recombined([study.sections for study in studies if study.split == "train"], corpus.recombined, seed)


def _complete(study: Study, text: TextRecipe) -> Study:
    """The study, without its text where a section is missing that the recipe asks for."""
    there = {section.name for section in study.sections}
    return study if there >= set(text.sections) else replace(study, sections=())


def _recombined(reports: list[tuple[Section, ...]], count: int, seed: int) -> Iterator[Study]:
    for number, sections in enumerate(recombine(reports, count, np.random.default_rng(seed))):
        yield Study(
            study_id=f"recombined-{number}",
            split="train",
            images=(),
            views=(),
            indication="",
            sections=sections,
            targets=np.full(len(FINDINGS), np.nan, dtype=np.float32),
        )


def _blend(
    hard: NDArray[np.float32], soft: NDArray[np.float32], train: NDArray[np.bool_], share: float
) -> NDArray[np.float32]:
    """Hard labels [S,14] with a share of soft ones mixed in.

    The soft labels' logits are shifted a finding at a time until their mean over the training studies is that of the
    hard ones: the other model learned from a population in which the findings are rarer or commoner.
    """
    blended = hard.copy()
    for finding in range(hard.shape[1]):
        both = ~np.isnan(hard[:, finding]) & ~np.isnan(soft[:, finding])
        if share and (both & train).any():
            logits = logit(np.clip(soft[:, finding], 1e-4, 1 - 1e-4))
            prevalence, sample = hard[both & train, finding].mean(), logits[both & train]
            shift = brentq(partial(_excess, sample, prevalence), -20, 20)
            blended[both, finding] = (1 - share) * hard[both, finding] + share * expit(logits[both] + shift)
    return blended


def _excess(logits: NDArray[np.float32], prevalence: float, shift: float) -> float:
    return float(expit(logits + shift).mean() - prevalence)


def _clean(row: Mapping[str, Any], targets: NDArray[np.float32], corpus: CorpusRecipe, text: TextRecipe) -> Study:
    sections = clean_report(row, drop_priors=text.drop_priors, drop_sides=text.drop_sides) if corpus.use_texts else ()
    if text.reconcile:
        sections = reconcile(sections)
    return Study(
        study_id=row["study_id"],
        split=row["split"],
        images=tuple(map(Path, row["images"])) if corpus.use_images else (),
        views=tuple(map(ViewPosition, row["view_positions"])),
        indication=row["indication"],
        sections=sections,
        targets=targets,
    )


def _states(study: Study) -> NDArray[np.int64]:
    labels = label_findings(format_report(study.sections))
    return np.array([STATES.index(labels[name]) for name in FINDINGS])


def _prompts(study: Study, tokenizer: ReportTokenizer, prompt: Prompt) -> Iterator[tuple[int, ...]]:
    """Wordings of the prompt; a text without images may have been written for any frontal view."""
    frontal = [(view,) for view in ViewPosition if view.is_frontal]
    views = [study.views] if study.images else [study.views, *frontal, ()]
    for indication in (study.indication, ""):
        for positions in views:
            text = render(prompt, indication=indication, views=describe_views(positions), technique="")
            yield tuple(tokenizer.encode(text))


def _report_ids(sections: tuple[Section, ...], tokenizer: ReportTokenizer, longest: int) -> list[int]:
    """Token ids of the report; from one that is too long sentences go, the last of the longest section first."""
    ids = tokenizer.encode(format_report(sections))
    while len(ids) > longest:
        longer = max(sections, key=lambda section: len(section.sentences))
        if len(longer.sentences) < 2:
            return ids[:longest]
        sections = tuple(
            Section(section.name, section.sentences[:-1]) if section is longer else section for section in sections
        )
        ids = tokenizer.encode(format_report(sections))
    return ids
