"""The studies of a fine-tuning: their cleaned reports, and the chats that the model gets about them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch.utils.data import Dataset as IndexedDataset

from report_gen.backends import AnsweredChat, GenerationError, HubBackend
from report_gen.corpora import own_and_prior_images
from report_gen.drafting import NO_LIMITS, ChatGenerator, ChatStudy, DraftRequest
from report_gen.errors import CorpusError, StudyError
from report_gen.evaluation import request_from_row
from report_gen.records import FindingSchema, format_report

from ..data import CleaningRules, assign_splits, clean_report, open_corpus, pass_indices
from ..recipe import CorpusSource, TuningRecipe
from ..run import OnProgress, report_progress

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TuningStudy:
    """A study with a report."""

    corpus: Dataset
    index: int
    """Row of the corpus."""
    study_id: str
    report: str
    """Cleaned report, as `format_report` writes it."""
    images: tuple[Path, ...]

    def request(self) -> DraftRequest:
        """Return the request for a draft of the study. Raises StudyError if an image cannot be read."""
        return request_from_row(self.corpus[self.index])


@dataclass(frozen=True, kw_only=True)
class TuningStudies:
    """The studies of all corpora of a recipe."""

    training: list[TuningStudy]
    validation: list[TuningStudy]
    counts: Mapping[str, Mapping[str, int]]
    """Number of studies by corpus and split."""


def read_studies(recipe: TuningRecipe, store: Path, schema: FindingSchema, *, on_progress: OnProgress) -> TuningStudies:
    """Read the studies with images and a report.

    Args:
        recipe: The recipe.
        store: Folder for tables of the corpora.
        schema: The findings of the labels.
        on_progress: Called while the reports are cleaned.

    Raises:
        CorpusError: A corpus cannot be read, or no training study has images and a report.
    """
    corpora = {one.name: open_corpus(one, recipe, schema=schema, store=store) for one in recipe.corpora}
    splits = assign_splits(recipe.corpora, corpora)
    studies: dict[str, list[TuningStudy]] = {"train": [], "val": []}
    counts = {name: dict.fromkeys(studies, 0) for name in corpora}
    for source in recipe.corpora:
        rows = report_progress(corpora[source.name], f"cleaning {source.name}", len(corpora[source.name]), on_progress)
        for index, (row, split) in enumerate(zip(rows, splits[source.name].tolist(), strict=True)):
            if split in studies and (report := _report(row, source, recipe, schema)):
                own, _ = own_and_prior_images(row)
                study = TuningStudy(
                    corpus=corpora[source.name],
                    index=index,
                    study_id=row["study_id"],
                    report=report,
                    images=tuple(Path(row["images"][image]) for image in own),
                )
                studies[split].append(study)
                counts[source.name][split] += 1
    if not studies["train"]:
        raise CorpusError(
            f"{recipe.name}: no training study has images and the sections {', '.join(recipe.text.sections)}; name a "
            "corpus with reports, or relax text.sections"
        )
    return TuningStudies(training=studies["train"], validation=studies["val"], counts=counts)


def _report(row: Mapping[str, Any], source: CorpusSource, recipe: TuningRecipe, schema: FindingSchema) -> str:
    """Return the report that the model learns; empty for a study that is not used."""
    own, prior = own_and_prior_images(row)
    if row["study_id"] in source.exclude or not own:
        return ""
    rules = CleaningRules(drop_priors=recipe.text.drop_priors and not prior, schema=schema)
    sections = clean_report(row, rules)
    return format_report(sections) if {one.name for one in sections} >= set(recipe.text.sections) else ""


class ChatEncoder:
    """Encodes studies as the model gets them in drafting, each with its report as the answer.

    Args:
        recipe: The recipe.
        generator: Prepares the studies.
        backend: Encodes the chats.
    """

    def __init__(self, recipe: TuningRecipe, generator: ChatGenerator, backend: HubBackend) -> None:
        self._recipe, self._generator, self._backend = recipe, generator, backend

    def encode(self, study: TuningStudy) -> AnsweredChat | None:
        """Return the chat of a study, or None if the study is left out.

        Raises:
            CorpusError: The study cannot be used, and the recipe leaves none out.
        """
        decoding = self._generator.info.decoding
        try:
            request = study.request()
            item = self._generator.prepare(request, decoding=decoding, limits=NO_LIMITS, blank=False, force=False)
            if isinstance(item, StudyError):
                raise item
            if not isinstance(item, ChatStudy):
                raise StudyError(request.study.path, item.notices[-1])
            return self._backend.encode_answered(
                self._generator.chat(item, decoding), study.report, self._recipe.text.max_report_tokens
            )
        except (StudyError, GenerationError) as error:
            if self._recipe.unreadable == "refuse":
                raise CorpusError(
                    f'{study.study_id}: cannot be learned ({error}); exclude the study, or set unreadable = "leave-out"'
                ) from error
            _log.warning("%s is left out: %s", study.study_id, error)
            return None

    def encode_all(self, studies: list[TuningStudy]) -> Iterator[AnsweredChat]:
        """Yield the chats of those studies that are not left out."""
        return (chat for study in studies if (chat := self.encode(study)) is not None)


class StepBatches(IndexedDataset[list[list[AnsweredChat]]]):
    """The batches of each step, given by the seed of the recipe and the number of the step.

    Args:
        recipe: The recipe.
        studies: Training studies.
        encoder: Encodes them.
    """

    def __init__(self, recipe: TuningRecipe, studies: list[TuningStudy], encoder: ChatEncoder) -> None:
        self._recipe, self._studies, self._encoder = recipe, studies, encoder

    def __getitem__(self, step: int) -> list[list[AnsweredChat]]:
        """Return the batches of a step; studies that are left out are missing."""
        recipe = self._recipe
        chosen = pass_indices(len(self._studies), recipe.batch_size * recipe.accumulate, step, recipe.seed)
        return [
            list(self._encoder.encode_all([self._studies[index] for index in indices]))
            for indices in chosen.view(recipe.accumulate, recipe.batch_size).tolist()
        ]
