"""Read a corpus for training: clean its texts and take its images, labels and head targets, streaming through files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpora import ORDER_COLUMNS, FindingBox, boxes_of_kept_images, is_of_source, read_corpus
from report_gen.errors import CorpusError
from report_gen.records import ATTRIBUTES, FindingSchema, Section, SectionName, ViewPosition

from ..recipe import CorpusRecipe, CorpusSource, Recipe, RunSettings, TextRecipe
from ..run import OnProgress, ignore_progress, report_progress
from .arrow_rows import Row, Rows, write_rows
from .concepts import KnownConcepts
from .corpus_study import CorpusStudy, study_columns, study_from_row, study_to_row, text_labels, unknown_labels
from .patient_split import check_sources
from .prior_images import choose_images, describing_text, image_offsets, name_prior, reads_priors
from .sentence_bank import Report
from .soft_label_files import read_soft_labels
from .targets import mix_targets, read_labels, replace_soft_labels
from .templates import template_report
from .text_augmentation import augment_texts
from .text_cleaning import CleaningRules, Sides, clean_report, clean_sections, drop_contradictions


class CorpusStudies(Iterable[CorpusStudy]):
    """The studies of one corpus that have an image or a report; every iteration reads them from their files.

    Args:
        files: Files of cleaned studies.
        sections: Required sections; a study that lacks one of them is used without its report.
    """

    def __init__(self, files: Sequence[Rows], sections: Iterable[SectionName]) -> None:
        self._files, self._sections = files, frozenset(sections)

    def __iter__(self) -> Iterator[CorpusStudy]:
        for file in self._files:
            for row in file:
                study = self._require_sections(study_from_row(row))
                if study.images or study.sections:
                    yield study

    def _require_sections(self, study: CorpusStudy) -> CorpusStudy:
        present = {section.name for section in study.sections}
        return study if present >= self._sections else replace(study, sections=())


def open_corpus(
    corpus: CorpusSource, recipe: RunSettings, *, schema: FindingSchema, store: Path, use_images: bool = True
) -> Dataset:
    """Read a corpus of a recipe into a memory-mapped table.

    Args:
        use_images: Whether the images are used; otherwise they may be missing.
        schema: The findings of the labels.
        store: Where the table is written, and where the corpus is unpacked if necessary; its images stay there.

    Raises:
        CorpusError: The corpus cannot be read.
        OutputError: The store cannot be written.
    """
    path = recipe.resolve(corpus.path)
    if not os.path.lexists(path):
        raise CorpusError(
            f"{path}: no such file or folder, for the corpus {corpus.name!r} of the recipe; name the folder of the "
            "data with --set data=FOLDER"
        )
    return read_corpus(
        path,
        layout=corpus.layout,
        require_images=use_images if recipe.unreadable == "refuse" else None,
        store=store,
        schema=schema,
        columns=corpus.columns,
    )


def read_studies(
    corpus: CorpusRecipe,
    recipe: Recipe,
    folder: Path,
    *,
    dataset: Dataset,
    splits: NDArray[np.str_],
    schema: FindingSchema,
    on_progress: OnProgress = ignore_progress,
) -> CorpusStudies:
    """Clean the studies of a corpus, and add reports made by text augmentation if the recipe asks for them.

    Args:
        folder: Where the cleaned studies are written.
        dataset: The corpus, from `open_corpus`.
        splits: [S] split of each study, from `assign_splits`.
        schema: The findings of the labels.

    Raises:
        CorpusError: No study of the corpus is left.
        RecipeError: The recipe names a source that the corpus does not have, a wrong table of soft labels, or unknown
            findings that the schema does not have.
        OutputError: The folder cannot be written.
    """
    cleaned, usable, augmented = (folder / f"{name}.arrow" for name in ("cleaned", "usable", "augmented"))
    for key in ("source_weights", "calibration_sources"):
        check_sources(getattr(corpus, key) or (), dataset.unique("source"), key, corpus.name)
    rows = report_progress(dataset, f"cleaning {corpus.name}", len(dataset), on_progress)
    rules, columns = cleaning_rules(recipe, schema), study_columns(len(schema.findings))
    studies = _clean_all(rows, splits, *_targets(corpus, recipe, dataset, splits, schema), corpus, recipe, rules)
    write_rows(cleaned, columns, map(study_to_row, studies))
    accept = partial(_usable, text=recipe.text, concepts=rules.concepts, schema=schema)
    write_rows(usable, columns, map(study_to_row, _accept_all(Rows(cleaned), accept)))
    files = [Rows(usable)]
    if next(iter(CorpusStudies(files, recipe.text.sections)), None) is None:
        raise CorpusError(
            f"{recipe.resolve(corpus.path)}: no study of the corpus {corpus.name!r} is left; relax text.sections or "
            "the text.drop_ keys"
        )
    if corpus.augmented_texts:
        reports = augment_texts(
            _Reports(files[0]),
            corpus.augmented_texts,
            np.random.default_rng(recipe.seed),
            schema,
            sentences=_sentences(_Reports(Rows(cleaned)), corpus, rules),
            normals=corpus.augmented_normals,
            accept=lambda report: accept(report) == report,
        )
        write_rows(augmented, columns, map(study_to_row, _text_studies(reports, unknown_labels(schema), corpus)))
        files.append(Rows(augmented))
    return CorpusStudies(files, recipe.text.sections)


def cleaning_rules(recipe: Recipe, schema: FindingSchema) -> CleaningRules:
    """Return how a recipe cleans reports.

    Raises:
        RecipeError: There are no known concepts for the schema, or it lacks one of the unknown findings.
    """
    text = recipe.text
    sides = Sides.DROP if text.drop_sides else Sides.LOCATED if recipe.model.locations else Sides.KEEP
    concepts = KnownConcepts(schema, text.unknown_findings) if text.drop_unknown_concepts else None
    return CleaningRules(drop_priors=text.drop_priors, sides=sides, concepts=concepts, schema=schema)


def _usable(
    sections: tuple[Section, ...], *, text: TextRecipe, concepts: KnownConcepts | None, schema: FindingSchema
) -> tuple[Section, ...]:
    """Return a cleaned report without contradictions, or an empty one if it is not complete."""
    if text.drop_contradictions:
        sections = drop_contradictions(sections, schema)
    return sections if concepts is None or concepts.is_complete(sections) else ()


def _sentences(reports: Sequence[Report], corpus: CorpusRecipe, rules: CleaningRules) -> Iterator[Report]:
    """Yield the reports whose sentences may be combined."""
    yield from reports
    if corpus.augmented_templates:
        yield clean_sections(template_report(rules.schema), rules)


def _accept_all(rows: Iterable[Row], accept: Callable[[Report], Report]) -> Iterator[CorpusStudy]:
    for study in map(study_from_row, rows):
        yield replace(study, sections=accept(study.sections))


def _targets(
    corpus: CorpusRecipe, recipe: Recipe, dataset: Dataset, splits: NDArray[np.str_], schema: FindingSchema
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the labels [S,F] of a corpus and the targets [S,F] that the recipe makes of them."""
    labels, train = read_labels(dataset, schema), splits == "train"
    if corpus.soft_label_file is not None:
        teacher = read_soft_labels(recipe.resolve(corpus.soft_label_file), schema)
        labels = replace_soft_labels(labels, dataset, teacher, train)
    return labels.hard, mix_targets(labels, train, share=corpus.soft_labels, smoothing=corpus.label_smoothing)


class _Reports(Sequence[Report]):
    """The training reports of a file of studies without a prior study, read one at a time."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        split, prior_views = (np.asarray(rows.column(name).to_numpy()) for name in ("split", "prior_views"))
        self._places = np.flatnonzero((split == "train") & (prior_views == 0))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Report: ...
    @overload
    def __getitem__(self, index: slice) -> list[Report]: ...
    def __getitem__(self, index: int | slice) -> Report | list[Report]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return study_from_row(self._rows[int(self._places[index])]).sections


def _clean_all(
    rows: Iterable[Row],
    splits: NDArray[np.str_],
    labels: NDArray[np.float32],
    targets: NDArray[np.float32],
    corpus: CorpusRecipe,
    recipe: Recipe,
    rules: CleaningRules,
) -> Iterator[CorpusStudy]:
    for row, split, label, target in zip(rows, splits, labels, targets, strict=True):
        if row["study_id"] not in corpus.exclude:
            study = replace(_clean(row, corpus, recipe, rules), split=str(split), labels=label, targets=target)
            yield _label_text(study, row, rules, rules.schema) if corpus.label_texts else study


def _label_text(study: CorpusStudy, row: Mapping[str, Any], rules: CleaningRules, schema: FindingSchema) -> CorpusStudy:
    """Return a study without a text and without labels with the labels that its report gives, if it has a report."""
    sections = clean_report(row, rules)
    if not sections or not np.isnan(study.targets).all():
        return study
    labels = text_labels(sections, schema)
    return replace(study, labels=labels, targets=labels)


def _clean(row: Mapping[str, Any], corpus: CorpusRecipe, recipe: Recipe, rules: CleaningRules) -> CorpusStudy:
    """Return a cleaned study. Its report keeps comparisons only if the model gets the images of the prior study."""
    schema, with_prior = rules.schema, reads_priors(corpus, recipe)
    indices, prior_views = choose_images(row, with_prior=with_prior)
    own = frozenset(indices[: len(indices) - prior_views])
    boxes = boxes_of_kept_images(
        (FindingBox(**box) for box in row["finding_boxes"]), [index in own for index in range(len(row["images"]))]
    )
    offsets = image_offsets(row, indices, prior_views)
    if prior_views:
        rules = replace(rules, drop_priors=False)
    return CorpusStudy(
        study_id=row["study_id"],
        patient_id=row["patient_id"] or row["study_id"],
        split=row["split"],
        images=tuple(Path(row["images"][index]) for index in indices) if corpus.use_images else (),
        views=tuple(ViewPosition(row["view_positions"][index]) for index in indices),
        indication=row["indication"],
        sections=clean_report(row, rules) if corpus.use_texts else (),
        labels=unknown_labels(schema),
        targets=unknown_labels(schema),
        boxes=tuple(boxes) if corpus.use_images else (),
        source=row["source"],
        sampling_weight=_sampling_weight(row["source"], corpus),
        calibrates=_calibrates(row["source"], corpus),
        loss_weight=corpus.loss_weight,
        normalization=() if corpus.mean is None or corpus.std is None else (corpus.mean, corpus.std),
        attributes=tuple(row[name] for name in ATTRIBUTES),
        offsets=offsets if corpus.use_images else (),
        prior_views=prior_views,
        comparison=name_prior(row, offsets, prior_views, recipe.model.scope),
        prior_report=describing_text(row["prior_report"]) if prior_views else "",
        **{name: row[name] for name in ORDER_COLUMNS},
    )


def _calibrates(source: str, corpus: CorpusRecipe) -> bool:
    names = corpus.calibration_sources
    return names is None or any(is_of_source(source, name) for name in names)


def _sampling_weight(source: str, corpus: CorpusRecipe) -> float:
    """Return the weight of a study: that of its corpus times that of its source."""
    named = (weight for name, weight in corpus.source_weights.items() if is_of_source(source, name))
    return corpus.sampling_weight * next(named, 1.0)


def _text_studies(
    reports: Iterable[Report], labels: NDArray[np.float32], corpus: CorpusRecipe
) -> Iterator[CorpusStudy]:
    for number, sections in enumerate(reports):
        yield CorpusStudy(
            study_id=f"augmented-{number}",
            patient_id="",
            split="train",
            images=(),
            views=(),
            indication="",
            sections=sections,
            labels=labels,
            targets=labels,
            sampling_weight=corpus.sampling_weight,
            loss_weight=corpus.loss_weight,
        )
