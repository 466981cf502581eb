"""The whole of `report-gen score`: read, join, prepare, measure, and set baselines, noise and collapse beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from report_gen import __version__
from report_gen.metrics.baselines import CONSTANT
from report_gen.metrics.cases import list_cases
from report_gen.metrics.diversity import diversity_stats, letters
from report_gen.metrics.exact_stem import exact_stem
from report_gen.metrics.external import TextInstrument, load_optional
from report_gen.metrics.finding_scores import UNCERTAIN_AS, support
from report_gen.metrics.joining import Joined, join_files, join_reports
from report_gen.metrics.measure import Floats, Measure
from report_gen.metrics.meteor import Meteor, find_meteor
from report_gen.metrics.metric_suite import Drafts, MetricResults, MetricSuite
from report_gen.metrics.preset import Preset, load_preset
from report_gen.metrics.report_files import read_reports
from report_gen.metrics.score import scores_of
from report_gen.metrics.score_run import ScoreMethod, ScoreOptions, ScoreRun, System
from report_gen.metrics.significance import Difference, compare, spread
from report_gen.metrics.training_reports import TrainingReports, baseline_drafts, read_features, read_training
from report_gen.metrics.verdicts import (
    casing_notice,
    check_collapse,
    check_constant_baseline,
    check_image_use,
    headline_scores,
)

_MODEL = "model"
_FEWEST_DRAWS = 100


def run_score(options: ScoreOptions) -> ScoreRun:
    """Score a file of drafts. Raises UsageError and CorpusError for what cannot be read, understood or joined."""
    joined = join_files(
        options.predictions, options.references, id_column=options.id_column, allow_missing=options.allow_missing
    )
    return score_texts(
        joined,
        options,
        training=read_training(options.train, options.references, id_column=options.id_column),
        features=None if options.features is None else read_features(options.features),
        rivals=_read_others([options.compare] if options.compare else [], options, joined),
        seeds=_read_others(options.other_seeds, options, joined),
    )


def score_texts(
    joined: Joined,
    method: ScoreMethod,
    *,
    training: TrainingReports | None = None,
    features: Mapping[str, Floats] | None = None,
    rivals: Mapping[str, Sequence[str]] = MappingProxyType({}),
    seeds: Mapping[str, Sequence[str]] = MappingProxyType({}),
    controls: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> ScoreRun:
    """Score drafts that are already side by side with their references.

    Args:
        training: for the preset's vocabulary, the baselines and the share copied; no baselines without it.
        features: of the images by id, for the image 1-NN baseline.
        rivals: other systems' drafts for the same studies, by the system's name.
        seeds: drafts of the same model from other training seeds for the same studies, by a name.
        controls: what the same model drafts for the same studies when it is shown shuffled or blank images, by the name
            of these.

    Raises:
        UsageError: the preset or an optional measure is unknown.
        CorpusError: a study has no image features where some are given.
    """
    setting = _prepare(joined, method, training)
    with _ruler(setting) as ruler:
        model = ruler.measure(_drafts(setting, _MODEL, joined.predictions))
        baselines = [ruler.measure(drafts) for drafts in _baselines(setting, features)]
        comparison = [_against(setting, ruler.measure(_drafts(setting, *rival)), model) for rival in rivals.items()]
        others = [ruler.measure(_drafts(setting, *drafts)) for drafts in seeds.items()]
        blind = {name: ruler.measure(_drafts(setting, name, texts)) for name, texts in controls.items()}
    image_use = {name: _compare(setting, other.measures, model.measures) for name, other in blind.items()}
    system = _system(setting, model)
    against_baselines = {measured.drafts.name: _against(setting, measured, model) for measured in baselines}
    references = diversity_stats(setting.references.texts, ruler.states, setting.copied_from, schema=method.schema)
    return ScoreRun(
        signature=setting.signature,
        schema=method.schema,
        draws=method.draws,
        seed=method.seed,
        model=system,
        baselines=tuple(_system(setting, measured) for measured in baselines),
        references=references,
        support={
            policy: support(ruler.states, uncertain=counted, schema=method.schema)
            for policy, counted in UNCERTAIN_AS.items()
        },
        against_baselines=against_baselines,
        comparison=tuple(chain.from_iterable(comparison)),
        seeds=spread([_values(measured) for measured in (model, *others)]) if others else (),
        image_use=image_use,
        verdicts=(
            *check_collapse(system.diversity, references),
            *check_constant_baseline(against_baselines.get(CONSTANT, ())),
            *check_image_use(image_use, setting.headline, against="reports"),
        ),
        notices=tuple(_notices(setting, model.drafts)),
        cases=list_cases(joined, model, ruler.states, method.schema),
    )


def _read_others(paths: Sequence[Path], options: ScoreOptions, joined: Joined) -> dict[str, tuple[str, ...]]:
    """Further drafts for exactly the studies that are scored, by their file."""
    references = dict(zip(joined.ids, joined.references, strict=True))
    drafts = {}
    for path in paths:
        reports = read_reports(path, role="prediction", id_column=options.id_column)
        kept = {name: text for name, text in reports.items() if name in references}
        drafts[str(path)] = join_reports(kept, references, source=str(path)).predictions
    return drafts


def _values(measured: MetricResults) -> list[tuple[str, float]]:
    """Every score of a system with its name."""
    return [
        (name, float(value))
        for measure in measured.measures
        for name, value in zip(measure.names, measure.values, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """What is prepared before anything is measured."""

    method: ScoreMethod
    preset: Preset
    joined: Joined
    training: TrainingReports | None
    known: frozenset[str] | None
    references: Drafts
    copied_from: frozenset[str] | None
    optional: tuple[Sequence[TextInstrument], Sequence[str]]
    """What was asked for and is there, and notices of what is not."""

    @property
    def headline(self) -> tuple[str, ...]:
        return headline_scores(self.method.schema)

    @property
    def signature(self) -> str:
        return self.preset.signature(self.known, len(self.joined.ids), __version__)


def _prepare(joined: Joined, method: ScoreMethod, training: TrainingReports | None) -> _Setting:
    preset = load_preset(method.preset)
    train = list(training.train.values()) if training else None
    known = preset.known_words(train)
    prepared = preset.prepare_references(joined.references, known)
    return _Setting(
        method=method,
        preset=preset,
        joined=joined,
        training=training,
        known=known,
        references=Drafts(name="references", texts=joined.references, prepared=prepared),
        copied_from=None if train is None else frozenset(map(letters, train)),
        optional=load_optional(method.optional),
    )


@contextmanager
def _ruler(setting: _Setting) -> Iterator[MetricSuite]:
    written, _ = setting.optional
    if setting.method.java and find_meteor() is not None:
        with Meteor() as meteor:
            yield MetricSuite(setting.references, wording=[meteor], written=written, schema=setting.method.schema)
    else:
        yield MetricSuite(setting.references, wording=[exact_stem], written=written, schema=setting.method.schema)


def _drafts(setting: _Setting, name: str, texts: Sequence[str]) -> Drafts:
    return Drafts(name=name, texts=texts, prepared=setting.preset.prepare_predictions(texts))


def _baselines(setting: _Setting, features: Mapping[str, Floats] | None) -> list[Drafts]:
    if setting.training is None:
        return []
    return baseline_drafts(
        setting.training, setting.preset, setting.known, setting.joined.ids, seed=setting.method.seed, features=features
    )


def _system(setting: _Setting, measured: MetricResults) -> System:
    return System(
        name=measured.drafts.name,
        scores=scores_of(measured.measures, setting.signature, draws=setting.method.draws, seed=setting.method.seed),
        diversity=diversity_stats(
            measured.drafts.texts, measured.states, setting.copied_from, schema=setting.method.schema
        ),
    )


def _against(setting: _Setting, other: MetricResults, model: MetricResults) -> tuple[Difference, ...]:
    """The model minus another system, on the headline scores."""
    differences = _compare(setting, other.holding(setting.headline), model.holding(setting.headline))
    return tuple(difference for difference in differences if difference.name in setting.headline)


def _compare(setting: _Setting, other: Sequence[Measure], model: Sequence[Measure]) -> tuple[Difference, ...]:
    return compare(other, model, max(setting.method.draws, _FEWEST_DRAWS), setting.method.seed)


def _notices(setting: _Setting, model: Drafts) -> Iterator[str]:
    yield from setting.joined.notices
    yield from setting.optional[1]
    yield from casing_notice(model.prepared, setting.references.prepared)
    if setting.training is None:
        yield "no training reports (--train, or a train split), so no baselines: a constant report may score as much"
        if setting.preset.vocabulary is not None:
            yield f"preset {setting.preset.name} replaces no rare words: its vocabulary comes from training reports"
    elif not setting.training.val:
        yield "no val split: the constant report was chosen on the training reports"
    if setting.method.java and find_meteor() is None:
        yield "METEOR 1.5 left out: install a Java and `pip install pycocoevalcap`; exact+stem F stands in"
