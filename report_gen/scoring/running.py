"""The whole of `report-gen score`: read, join, prepare, measure, and set baselines, noise and collapse beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from report_gen import __version__
from report_gen.scoring.baselines import CONSTANT
from report_gen.scoring.cases import tell_cases
from report_gen.scoring.collapse import letters, measure_variety
from report_gen.scoring.exact_stem import exact_stem
from report_gen.scoring.finding_scores import UNCERTAIN_AS, support
from report_gen.scoring.joining import Joined, join_files, join_reports
from report_gen.scoring.meteor import Meteor, find_meteor
from report_gen.scoring.noise import Difference, compare
from report_gen.scoring.optional import TextInstrument, load_optional
from report_gen.scoring.preset import Preset, load_preset
from report_gen.scoring.report_files import read_reports
from report_gen.scoring.score import scores_of
from report_gen.scoring.score_run import ScoreOptions, ScoreRun, System
from report_gen.scoring.systems import Drafts, Measured, Ruler
from report_gen.scoring.training_reports import TrainingReports, baseline_drafts, read_features, read_training
from report_gen.scoring.verdicts import HEADLINE, casing_notice, judge_collapse, judge_constant

_MODEL = "model"
_FEWEST_DRAWS = 100


def run_score(options: ScoreOptions) -> ScoreRun:
    """Raises UsageError and CorpusError for what cannot be read, understood or joined."""
    setting = _prepare(options)
    with _ruler(setting) as ruler:
        model = ruler.measure(_model(setting))
        baselines: list[System] = []
        against_constant: tuple[Difference, ...] = ()
        for drafts in _baselines(setting):
            measured = ruler.measure(drafts)
            baselines.append(_system(setting, measured))
            if drafts.name == CONSTANT:
                against_constant = _against(setting, measured, model)
        comparison = [_against(setting, ruler.measure(drafts), model) for drafts in _rival(setting)]
    system = _system(setting, model)
    references = measure_variety(setting.references.texts, ruler.states, setting.copied_from)
    return ScoreRun(
        signature=setting.signature,
        draws=setting.options.draws,
        seed=setting.options.seed,
        model=system,
        baselines=tuple(baselines),
        references=references,
        support={policy: support(ruler.states, uncertain=counted) for policy, counted in UNCERTAIN_AS.items()},
        against_constant=against_constant,
        comparison=tuple(chain.from_iterable(comparison)),
        verdicts=(*judge_collapse(system.variety, references), *judge_constant(against_constant)),
        notices=tuple(_notices(setting, model.drafts)),
        cases=tell_cases(setting.joined, model, ruler.states),
    )


@dataclass(frozen=True, kw_only=True)
class _Setting:
    """What was read and prepared before anything is measured."""

    options: ScoreOptions
    preset: Preset
    joined: Joined
    training: TrainingReports | None
    known: frozenset[str] | None
    references: Drafts
    copied_from: frozenset[str] | None
    optional: tuple[Sequence[TextInstrument], Sequence[str]]
    """What was asked for and is there, and notices of what is not."""

    @property
    def signature(self) -> str:
        return self.preset.signature(self.known, len(self.joined.ids), __version__)


def _prepare(options: ScoreOptions) -> _Setting:
    preset = load_preset(options.preset)
    joined = join_files(
        options.predictions, options.references, id_column=options.id_column, allow_missing=options.allow_missing
    )
    training = read_training(options.train, options.references, id_column=options.id_column)
    train = list(training.train.values()) if training else None
    known = preset.known_words(train)
    prepared = preset.prepare_references(joined.references, known)
    return _Setting(
        options=options,
        preset=preset,
        joined=joined,
        training=training,
        known=known,
        references=Drafts(name="references", texts=joined.references, prepared=prepared),
        copied_from=None if train is None else frozenset(map(letters, train)),
        optional=load_optional(options.optional),
    )


@contextmanager
def _ruler(setting: _Setting) -> Iterator[Ruler]:
    written, _ = setting.optional
    if setting.options.java and find_meteor() is not None:
        with Meteor() as meteor:
            yield Ruler(setting.references, wording=[meteor], written=written)
    else:
        yield Ruler(setting.references, wording=[exact_stem], written=written)


def _model(setting: _Setting) -> Drafts:
    texts = setting.joined.predictions
    return Drafts(name=_MODEL, texts=texts, prepared=setting.preset.prepare_predictions(texts))


def _baselines(setting: _Setting) -> list[Drafts]:
    if setting.training is None:
        return []
    options = setting.options
    features = None if options.features is None else read_features(options.features)
    return baseline_drafts(
        setting.training, setting.preset, setting.known, setting.joined.ids, seed=options.seed, features=features
    )


def _rival(setting: _Setting) -> list[Drafts]:
    """The drafts to compare with, for exactly the studies that are scored."""
    path = setting.options.compare
    if path is None:
        return []
    reports = read_reports(path, role="prediction", id_column=setting.options.id_column)
    references = dict(zip(setting.joined.ids, setting.joined.references, strict=True))
    kept = {name: text for name, text in reports.items() if name in references}
    texts = join_reports(kept, references, source=str(path)).predictions
    return [Drafts(name=path.name, texts=texts, prepared=setting.preset.prepare_predictions(texts))]


def _system(setting: _Setting, measured: Measured) -> System:
    options = setting.options
    return System(
        name=measured.drafts.name,
        scores=scores_of(measured.measures, setting.signature, draws=options.draws, seed=options.seed),
        variety=measure_variety(measured.drafts.texts, measured.states, setting.copied_from),
    )


def _against(setting: _Setting, other: Measured, model: Measured) -> tuple[Difference, ...]:
    """The model minus another system, on the headline scores."""
    options = setting.options
    draws = max(options.draws, _FEWEST_DRAWS)
    differences = compare(other.holding(HEADLINE), model.holding(HEADLINE), draws, options.seed)
    return tuple(difference for difference in differences if difference.name in HEADLINE)


def _notices(setting: _Setting, model: Drafts) -> Iterator[str]:
    yield from setting.joined.notices
    yield from setting.optional[1]
    yield from casing_notice(model.prepared, setting.references.prepared)
    if setting.training is None:
        yield "no training reports, so no baselines: give --train to see what a constant report scores"
        if setting.preset.vocabulary is not None:
            yield f"preset {setting.preset.name} takes its vocabulary from --train: without it rare words stay"
    elif not setting.training.val:
        yield "no val split: the constant report was chosen on the training reports"
    if setting.options.java and find_meteor() is None:
        yield "METEOR 1.5 left out: install a Java and `pip install pycocoevalcap`; exact+stem F stands in"
