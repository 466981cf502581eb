"""Compare several models on the studies that all of them drafted: scores, tests of each pair of models, and costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from report_gen.errors import CorpusError
from report_gen.evaluation.corpus_drafts import OWN, CorpusDrafts
from report_gen.evaluation.evaluation_corpus import EvaluationCorpus
from report_gen.evaluation.finding_head import known_labels
from report_gen.evaluation.model_runs import FailedModel, ModelRun, unique_names
from report_gen.evaluation.normal_drafts import normal_share
from report_gen.evaluation.results import Evaluation
from report_gen.evaluation.rows import Row, has_report
from report_gen.evaluation.runner import findings_text, label_measures, score_drafts
from report_gen.metrics import (
    CONSTANT,
    NEAREST,
    RANDOM,
    Difference,
    PairTest,
    Score,
    ScoreMethod,
    ScoreRun,
    compare_pairs,
    measure_systems,
    scores_of,
)

REPORTS, LABELS = "reports", "labels"
"""What drafts are compared with."""


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """One of the models, with its scores on the studies that all models drafted."""

    name: str
    """Differs between the models."""
    run: ModelRun
    evaluation: Evaluation
    normal_share: float | None
    """Share of normal drafts, 0..1; None for a schema without abnormalities."""


@dataclass(frozen=True, kw_only=True)
class ReferenceScores:
    """The scores of all models against one kind of reference."""

    against: str
    """`REPORTS` or `LABELS`."""
    names: tuple[str, ...]
    """Names of the scores."""
    models: Mapping[str, Mapping[str, Score]]
    """Scores of each model, by the names of model and score."""
    baselines: Mapping[str, Mapping[str, Score]]
    """Scores of each baseline; empty against labels and without training reports."""
    image_use: Mapping[str, Mapping[str, tuple[Difference, ...]]]
    """Scores with own images minus those with control images, by the names of model and control."""
    pairs: tuple[PairTest, ...]
    """Tests of each pair of models."""

    def uses_images(self, model: str, control: str) -> bool:
        """Return whether a score of a model is higher with own than with control images, beyond its interval."""
        return any(one.interval[0] > 0 for one in self.image_use[model][control])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The results of several models on the same studies."""

    models: tuple[ComparedModel, ...]
    failed: tuple[FailedModel, ...]
    studies: tuple[Row, ...]
    """The studies that all models drafted."""
    parts: tuple[ReferenceScores, ...]
    """Scores against reports, labels or both."""
    notices: tuple[str, ...]
    """What a reader must know about the models and the data."""

    @property
    def reports(self) -> Mapping[str, ScoreRun]:
        """Scores against the reports by the name of the model; empty without reports."""
        found = {model.name: model.evaluation.reports for model in self.models}
        return {name: run for name, run in found.items() if run is not None}


class Comparer:
    """Compares the models that have finished so far. Scores are computed once per model and set of studies.

    Args:
        method: How the drafts are scored.
        corpus: The studies, and what is needed to score them.
    """

    def __init__(self, method: ScoreMethod, corpus: EvaluationCorpus) -> None:
        self._method, self._corpus = method, corpus
        self._evaluations: dict[tuple[str, frozenset[str]], Evaluation] = {}

    def compare(self, runs: Sequence[ModelRun], failed: Sequence[FailedModel]) -> Comparison:
        """Compare the models of one or more runs.

        Args:
            runs: Runs of different models on the corpus.
            failed: Models of which there is no run.

        Raises:
            CorpusError: Fewer than two studies were drafted by all models.
        """
        shared = _shared_studies(runs)
        drafts = dict(zip(unique_names(runs), (run.drafts.select(shared) for run in runs), strict=True))
        models = tuple(self._compared_model(name, run, drafts[name]) for name, run in zip(drafts, runs, strict=True))
        first = next(iter(drafts.values()))
        return Comparison(
            models=models,
            failed=tuple(failed),
            studies=first.rows,
            parts=(*self._against_reports(models, drafts), *self._against_labels(models, drafts)),
            notices=tuple(dict.fromkeys(_notices(models))),
        )

    def _compared_model(self, name: str, run: ModelRun, drafts: CorpusDrafts) -> ComparedModel:
        key = run.given, frozenset(drafts.ids)
        if key not in self._evaluations:
            corpus = self._corpus
            self._evaluations[key] = score_drafts(
                drafts, self._method, training=corpus.training, boxes=corpus.boxes, nih_labels=corpus.nih_labels
            )
        evaluation = self._evaluations[key]
        share = normal_share(list(evaluation.drafts.values()), self._method.schema)
        return ComparedModel(name=name, run=run, evaluation=evaluation, normal_share=share)

    def _against_reports(
        self, models: Sequence[ComparedModel], drafts: Mapping[str, CorpusDrafts]
    ) -> Iterator[ReferenceScores]:
        runs = {model.name: model.evaluation.reports for model in models}
        scored = {name: run for name, run in runs.items() if run is not None}
        if not scored:
            return
        rows = [row for row in next(iter(drafts.values())).rows if has_report(row)]
        texts = {
            name: [
                findings_text(report) for report, row in zip(one.reports[OWN], one.rows, strict=True) if has_report(row)
            ]
            for name, one in drafts.items()
        }
        ids, references = ([row[column] for row in rows] for column in ("study_id", "findings"))
        measures = measure_systems(texts, ids, references, self._method, self._corpus.training)
        scores = {name: {one.name: one for one in run.model.scores} for name, run in scored.items()}
        first = next(iter(scored.values()))
        names = tuple(name for name in first.headline if all(name in of_model for of_model in scores.values()))
        yield ReferenceScores(
            against=REPORTS,
            names=names,
            models={name: _select(of_model, names) for name, of_model in scores.items()},
            baselines={name: _select(one, names) for name, one in _baselines(scored)},
            image_use={name: _select_differences(run.image_use, names) for name, run in scored.items()},
            pairs=compare_pairs(measures, names, draws=self._method.draws, seed=self._method.seed),
        )

    def _against_labels(
        self, models: Sequence[ComparedModel], drafts: Mapping[str, CorpusDrafts]
    ) -> Iterator[ReferenceScores]:
        method = self._method
        measures = {
            name: label_measures(
                [known_labels(row, method.schema) for row in one.rows], one.reports[OWN], method.schema
            )
            for name, one in drafts.items()
        }
        names = models[0].evaluation.averages
        if not names or not all(measures.values()):
            return
        signature = f"labels|studies:{len(models[0].evaluation.drafts)}"
        scores = {
            name: {one.name: one for one in scores_of(of_model, signature, draws=method.draws, seed=method.seed)}
            for name, of_model in measures.items()
        }
        yield ReferenceScores(
            against=LABELS,
            names=names,
            models={name: _select(of_model, names) for name, of_model in scores.items()},
            baselines={},
            image_use={model.name: _select_differences(model.evaluation.labels, names) for model in models},
            pairs=compare_pairs(measures, names, draws=method.draws, seed=method.seed),
        )


def _shared_studies(runs: Sequence[ModelRun]) -> frozenset[str]:
    """Return the ids of the studies that all models drafted.

    Raises:
        CorpusError: They are fewer than two.
    """
    shared = frozenset.intersection(*(frozenset(run.drafts.ids) for run in runs))
    if len(shared) < 2:
        total = len(runs[0].drafts.ids) + len(runs[0].drafts.refused)
        counts = ", ".join(
            f"{name} {len(run.drafts.refused)}" for name, run in zip(unique_names(runs), runs, strict=True)
        )
        raise CorpusError(
            f"fewer than two of {total} studies were drafted by all models, so they cannot be compared; refused by "
            f"{counts}; leave out the model that refuses most"
        )
    return shared


def _baselines(runs: Mapping[str, ScoreRun]) -> Iterator[tuple[str, Mapping[str, Score]]]:
    """Yield the baselines: those of the texts once, and the nearest image by the features of each model."""
    first = next(iter(runs.values()))
    for baseline in first.baselines:
        if baseline.name in (CONSTANT, RANDOM):
            yield baseline.name, {one.name: one for one in baseline.scores}
    for name, run in runs.items():
        for baseline in run.baselines:
            if baseline.name == NEAREST:
                yield f"{NEAREST} by {name}", {one.name: one for one in baseline.scores}


def _notices(models: Iterable[ComparedModel]) -> Iterator[str]:
    for model in models:
        info = model.run.info
        if info.remote:
            yield f"{model.name}: images and prompt were sent to another computer: {info.remote}"
        if info.notice:
            yield f"{model.name}: {info.notice}"
        if refused := len(model.run.drafts.refused):
            yield f"{model.name}: studies that it refused, left out for all models: {refused}"
        if empty := len(model.run.drafts.without_draft):
            yield f"{model.name}: studies of which it wrote no report, scored as empty drafts: {empty}"
    of_scores = {model.name: model.evaluation.reports.notices for model in models if model.evaluation.reports}
    for name, notices in of_scores.items():
        for notice in notices:
            is_common = all(notice in others for others in of_scores.values())
            yield notice if is_common else f"{name}: {notice}"


def _select(scores: Mapping[str, Score], names: Sequence[str]) -> dict[str, Score]:
    return {name: scores[name] for name in names}


def _select_differences(
    differences: Mapping[str, Sequence[Difference]], names: Sequence[str]
) -> dict[str, tuple[Difference, ...]]:
    """Return the differences of the scores by the name of the control."""
    return {control: tuple(one for one in found if one.name in names) for control, found in differences.items()}
