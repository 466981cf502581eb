"""Draft the same studies with several models, one after the other. A model that fails does not stop the others."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import torch

from report_gen.drafting import Drafter
from report_gen.drafting.report_generator import GeneratorInfo
from report_gen.errors import ReportGenError, ResourceError, UsageError, is_out_of_memory
from report_gen.evaluation.corpus_drafts import CorpusDrafts, Track, draft_corpus, share_batches
from report_gen.evaluation.evaluation_corpus import EvaluationCorpus
from report_gen.evaluation.peak_memory import PeakMemory, measure_memory
from report_gen.generation import Decoding, DecodingChoice
from report_gen.records import FindingSchema

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelRun:
    """The drafts of one model, what the model is, and what the drafts cost."""

    given: str
    """The model as the user named it."""
    info: GeneratorInfo
    decoding: Decoding
    corpus: EvaluationCorpus
    """The corpus with which all models are compared."""
    drafts: CorpusDrafts
    memory: PeakMemory
    """Largest memory while the model was loaded and drafted."""

    @property
    def seconds(self) -> float:
        """Median of the wall time of a draft from its own images, seconds. The time of a batch is shared."""
        return median(share_batches(self.drafts.seconds, self.info.batch_size))


@dataclass(frozen=True, kw_only=True)
class FailedModel:
    """A model that could not be loaded, or failed while it drafted."""

    given: str
    """The model as the user named it."""
    reason: str
    exit_code: int
    """Exit code of its error, see `report_gen.errors`."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How every model drafts."""

    read_corpus: Callable[[FindingSchema], EvaluationCorpus]
    """Reads the corpus with the findings of the scores. Called once, after the first model is loaded."""
    schema: FindingSchema | None
    """The findings of the scores; None takes those of the first model that can be loaded."""
    decoding: DecodingChoice
    seed: int
    track: Callable[[str], Track]
    """Returns the progress bar of a model, from the name that the user gave."""


class ModelRuns:
    """Runs models one after the other. The memory of a model is released before the next one is loaded.

    Args:
        options: How every model drafts.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._corpus: EvaluationCorpus | None = None

    def run(self, models: Mapping[str, Callable[[], Drafter]]) -> Iterator[ModelRun | FailedModel]:
        """Yield the drafts of each model, or why it failed.

        Args:
            models: Functions that load the models, by the names that the user gave.

        Raises:
            CorpusError: The corpus cannot be read.
        """
        for given, load in models.items():
            with measure_memory() as memory:
                result = self._run(given, load, memory)
            yield result
            del result
            _release_memory()

    def _run(self, given: str, load: Callable[[], Drafter], memory: PeakMemory) -> ModelRun | FailedModel:
        drafter = _attempt(given, load)
        if isinstance(drafter, FailedModel):
            return drafter
        if self._corpus is None:  # an error of the corpus is not one of the model
            self._corpus = self._options.read_corpus(self._options.schema or drafter.schema)
        corpus = self._corpus
        return _attempt(given, lambda: self._draft(given, drafter, corpus, memory))

    def _draft(self, given: str, drafter: Drafter, corpus: EvaluationCorpus, memory: PeakMemory) -> ModelRun:
        options = self._options
        if options.schema is None:
            _check_findings(drafter.schema, corpus.schema)
        decoding = options.decoding.apply(drafter.info.decoding)
        drafts = draft_corpus(
            drafter,
            corpus.rows,
            decoding=decoding,
            seed=options.seed,
            nearest=corpus.nearest,
            track=options.track(given),
        )
        return ModelRun(given=given, info=drafter.info, decoding=decoding, corpus=corpus, drafts=drafts, memory=memory)


def unique_names(runs: Sequence[ModelRun]) -> list[str]:
    """Return a name for each run: that of the model, with the name that the user gave where several have the same."""
    names = [run.info.name for run in runs]
    given = [run.given for run in runs]
    chosen = [
        name if names.count(name) == 1 else f"{name} ({end})"
        for name, end in zip(names, short_names(given), strict=True)
    ]
    if len(set(chosen)) == len(chosen):
        return chosen
    return [f"{name} ({whole})" for name, whole in zip(names, given, strict=True)]


def short_names(given: Sequence[str]) -> list[str]:
    """Return the end of each path; the whole path where several have the same end."""
    ends = [path.rstrip("/").rpartition("/")[2] for path in given]
    return [end if ends.count(end) == 1 else path for path, end in zip(given, ends, strict=True)]


def _check_findings(own: FindingSchema, scored: FindingSchema) -> None:
    """Raise UsageError if a model and the scores have no finding in common: each score would be 0, whatever it writes.

    Such models are made for different studies, so a comparison of their wording has no meaning either.
    """
    if own.abnormalities and scored.abnormalities and not set(own.abnormalities) & set(scored.abnormalities):
        raise UsageError(
            f"none of its findings ({own.name}) is among those of the first model ({scored.name}), which are scored; "
            "name the findings to be scored with --findings"
        )


def _attempt(given: str, action: Callable[[], T]) -> T | FailedModel:
    """Return the result of an action, or the reason why it failed."""
    try:
        return action()
    except ReportGenError as error:
        _log.debug("the error was raised here:", exc_info=True)
        return FailedModel(given=given, reason=str(error), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 - the other models must go on
        _log.debug("the fault was raised here:", exc_info=True)
        if is_out_of_memory(error):
            reason = "memory is exhausted; choose a smaller --dtype, or evaluate the model on another computer"
            return FailedModel(given=given, reason=reason, exit_code=ResourceError.exit_code)
        reason = f"a fault of report-gen or of the model ({type(error).__name__}); -vv shows where"
        return FailedModel(given=given, reason=reason, exit_code=ReportGenError.exit_code)


def _release_memory() -> None:
    """Free the memory of a model to which nothing refers any more. Modules of PyTorch can refer to themselves."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
