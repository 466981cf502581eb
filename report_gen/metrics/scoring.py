"""Score drafts as `report-gen score` does: read, join, prepare and measure, with baselines, tests and verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from report_gen import __version__
from report_gen.metrics.baselines import CONSTANT
from report_gen.metrics.cases import list_cases
from report_gen.metrics.diversity import diversity_stats
from report_gen.metrics.draft_ids import match_ids
from report_gen.metrics.finding_scores import UNCERTAIN_POLICIES, support
from report_gen.metrics.joining import JoinedReports, join_files, join_reports
from report_gen.metrics.measure import Floats
from report_gen.metrics.meteor import MeteorError, missing_for_meteor
from report_gen.metrics.metric import ReportTexts, compare_texts
from report_gen.metrics.metric_suite import MetricResults
from report_gen.metrics.preset import Preset, load_preset
from report_gen.metrics.registry import WORDING_METRICS
from report_gen.metrics.report_files import read_reports
from report_gen.metrics.score import Score, scores_of
from report_gen.metrics.score_records import ScoreMethod, ScoreOptions, ScoreRun, SystemScores
from report_gen.metrics.score_setup import ScoreSetup, prepare_scoring
from report_gen.metrics.significance import seed_spread
from report_gen.metrics.system_measures import headline_differences, running_suite, system_differences, system_texts
from report_gen.metrics.training_reports import (
    TrainingReports,
    baseline_drafts,
    check_features,
    read_features,
    read_training,
)
from report_gen.metrics.verdicts import (
    casing_notice,
    check_collapse,
    check_constant_baseline,
    check_image_use,
    degenerate_notice,
)

_MODEL = "model"

_DraftsByName = Mapping[str, Sequence[str]]
_NONE: _DraftsByName = MappingProxyType({})


def run_score(options: ScoreOptions) -> ScoreRun:
    """Score a file of drafts.

    Raises:
        UsageError: The preset, an optional metric or the combination of files is not valid.
        CorpusError: A file cannot be read, or the files cannot be joined.
    """
    joined = join_files(
        options.predictions, options.references, id_column=options.id_column, allow_missing=options.allow_missing
    )
    training = read_training(options.train, options.references, id_column=options.id_column)
    features = None if options.features is None else read_features(options.features)
    if training is not None and features is not None:
        check_features(features, training.train, joined.ids, source=str(options.features))
    return score_texts(
        joined,
        options,
        training=training,
        features=features,
        other_systems=_read_others([options.compare] if options.compare else [], options, joined),
        other_seeds=_read_others(options.other_seeds, options, joined),
    )


def score_texts(
    joined: JoinedReports,
    method: ScoreMethod,
    *,
    training: TrainingReports | None = None,
    features: Mapping[str, Floats] | None = None,
    other_systems: _DraftsByName = _NONE,
    other_seeds: _DraftsByName = _NONE,
    controls: _DraftsByName = _NONE,
) -> ScoreRun:
    """Score drafts that are already joined with their references.

    Args:
        joined: Drafts and references by study.
        method: Preset, bootstrap and optional metrics.
        training: Training reports, for the preset's vocabulary, the baselines and the share of copied drafts; without
            them there are no baselines.
        features: Image features by study id, for the image 1-NN baseline.
        other_systems: Drafts of other systems for the same studies, by the system's name.
        other_seeds: Drafts of the same model from other training seeds for the same studies, by any name.
        controls: Drafts of the same model for the same studies from shuffled or blank images, by the control's name.

    Raises:
        UsageError: The preset or an optional metric is unknown.
        CorpusError: `features` is given and lacks a study.
    """
    setup = prepare_scoring(joined, method, training)
    try:
        measured = _measure(setup, features, other_systems, other_seeds, controls)
    except MeteorError as error:
        # Every system must have the same scores, so all of them are measured again, without METEOR.
        setup = replace(setup, meteor_fault=str(error))
        measured = _measure(setup, features, other_systems, other_seeds, controls)
    return _summarize(setup, measured)


def _measure(
    setup: ScoreSetup,
    features: Mapping[str, Floats] | None,
    other_systems: _DraftsByName,
    other_seeds: _DraftsByName,
    controls: _DraftsByName,
) -> _Measured:
    """Compute every metric of every system. Raises MeteorError if METEOR 1.5 was started and failed."""
    with running_suite(setup) as suite:
        return _Measured(
            model=suite.measure(system_texts(setup, _MODEL, setup.joined.predictions)),
            baselines=[suite.measure(drafts) for drafts in _baselines(setup, features)],
            other_systems=[suite.measure(system_texts(setup, *drafts)) for drafts in other_systems.items()],
            other_seeds=[suite.measure(system_texts(setup, *drafts)) for drafts in other_seeds.items()],
            controls=[suite.measure(system_texts(setup, *drafts)) for drafts in controls.items()],
        )


def score_reports(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    preset: str | Preset = "raw",
    train: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[Score, ...]:
    """Compute every wording metric of drafts, each with a bootstrap interval.

    Args:
        predictions: One draft per report.
        references: One report each, in the same order.
        preset: Name of a shipped preset, path of a TOML file, or a preset; it prepares the texts.
        train: Training reports, from which a preset may take its vocabulary.
        draws: Bootstrap resamplings of the reports; 0 for no intervals.
        seed: Seed of the bootstrap.

    Returns:
        The value of each metric over all reports, with its interval and its signature.

    Raises:
        ValueError: The numbers of predictions and references differ.
        UsageError: The preset is unknown.
    """
    preset = load_preset(preset) if isinstance(preset, str) else preset
    compared = compare_texts(predictions, references, preset=preset, training_reports=train)
    measures = [measure for metric in WORDING_METRICS for measure in metric.measure(compared)]
    signature = preset.signature(preset.known_words(train), len(references), __version__)
    return scores_of(measures, signature, draws=draws, seed=seed)


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """The metric results of every system."""

    model: MetricResults
    baselines: Sequence[MetricResults]
    other_systems: Sequence[MetricResults]
    other_seeds: Sequence[MetricResults]
    controls: Sequence[MetricResults]


def _baselines(setup: ScoreSetup, features: Mapping[str, Floats] | None) -> list[ReportTexts]:
    if setup.training is None:
        return []
    return baseline_drafts(
        setup.training,
        setup.preset,
        setup.known_words,
        setup.joined.ids,
        seed=setup.method.seed,
        features=features,
        schema=setup.method.schema,
    )


def _summarize(setup: ScoreSetup, measured: _Measured) -> ScoreRun:
    """Compute scores, tests between systems, verdicts and notices from the metric results."""
    model, states, schema = measured.model, setup.references.states, setup.method.schema
    scores = _system_scores(setup, model)
    references = diversity_stats(setup.references.texts, states, setup.normalized_training, schema=schema)
    against_baselines = {one.reports.name: headline_differences(setup, one, model) for one in measured.baselines}
    image_use = {one.reports.name: system_differences(setup, one.measures, model.measures) for one in measured.controls}
    seeds = [results.named_values() for results in (model, *measured.other_seeds)]
    return ScoreRun(
        signature=setup.signature,
        schema=schema,
        draws=setup.method.draws,
        seed=setup.method.seed,
        model=scores,
        baselines=tuple(_system_scores(setup, results) for results in measured.baselines),
        reference_diversity=references,
        support={
            policy: support(states, uncertain=counted, schema=schema) for policy, counted in UNCERTAIN_POLICIES.items()
        },
        against_baselines=against_baselines,
        comparison=tuple(
            difference
            for results in measured.other_systems
            for difference in headline_differences(setup, results, model)
        ),
        training_seeds=seed_spread(seeds) if measured.other_seeds else (),
        image_use=image_use,
        verdicts=(
            *check_collapse(scores.diversity, references),
            *check_constant_baseline(against_baselines.get(CONSTANT, ())),
            *check_image_use(image_use, setup.headline, against="reports"),
        ),
        notices=tuple(_notices(setup, model.reports)),
        cases=list_cases(setup.joined, model, states, schema),
    )


def _system_scores(setup: ScoreSetup, results: MetricResults) -> SystemScores:
    reports, method = results.reports, setup.method
    return SystemScores(
        name=reports.name,
        scores=scores_of(results.measures, setup.signature, draws=method.draws, seed=method.seed),
        diversity=diversity_stats(reports.texts, reports.states, setup.normalized_training, schema=method.schema),
    )


def _notices(setup: ScoreSetup, model: ReportTexts) -> Iterator[str]:
    yield from setup.joined.notices
    yield from setup.optional_notices
    yield from degenerate_notice(setup.references.prepared)
    yield from casing_notice(model.prepared, setup.references.prepared)
    if setup.training is None:
        yield "no training reports (--train, or a train split), so no baselines: a constant report may score as much"
        if setup.preset.vocabulary is not None:
            yield f"preset {setup.preset.name} replaces no rare words: its vocabulary comes from training reports"
    elif not setup.training.val:
        yield "no val split: the constant report was chosen on the training reports"
    if setup.meteor_fault:
        yield f"METEOR 1.5 left out, exact+stem F is shown instead. {setup.meteor_fault}"
    elif setup.method.java and not setup.runs_meteor:
        yield f"METEOR 1.5 left out, exact+stem F is shown instead. {missing_for_meteor()}"


def _read_others(paths: Sequence[Path], options: ScoreOptions, joined: JoinedReports) -> dict[str, tuple[str, ...]]:
    """Read further drafts of exactly the scored studies, by file name."""
    references = dict(zip(joined.ids, joined.references, strict=True))
    drafts = {}
    for path in paths:
        reports = read_reports(path, role="prediction", id_column=options.id_column)
        matched, _ = match_ids(path, reports, references)
        kept = {name: text for name, text in matched.items() if name in references}
        drafts[str(path)] = join_reports(kept, references, source=str(path)).predictions
    return drafts
