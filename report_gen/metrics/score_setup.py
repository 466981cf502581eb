"""Everything that is prepared before the metrics of drafts are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from report_gen import __version__
from report_gen.metrics.diversity import normalize_text
from report_gen.metrics.joining import JoinedReports
from report_gen.metrics.meteor import find_meteor
from report_gen.metrics.metric import ReportMetric, ReportTexts
from report_gen.metrics.optional_metrics import load_optional
from report_gen.metrics.preset import Preset, load_preset
from report_gen.metrics.score_records import ScoreMethod
from report_gen.metrics.training_reports import TrainingReports
from report_gen.metrics.verdicts import headline_scores


@dataclass(frozen=True, kw_only=True)
class ScoreSetup:
    """Everything that is prepared before a metric is computed."""

    method: ScoreMethod
    preset: Preset
    joined: JoinedReports
    training: TrainingReports | None
    known_words: frozenset[str] | None
    references: ReportTexts
    normalized_training: frozenset[str] | None
    optional: Sequence[ReportMetric]
    optional_notices: Sequence[str]
    meteor_fault: str = ""
    """Why METEOR 1.5 was started and failed; empty if it did not."""

    @property
    def runs_meteor(self) -> bool:
        """Whether METEOR 1.5 is computed."""
        return self.method.java and not self.meteor_fault and find_meteor() is not None

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the scores that count in comparisons."""
        return headline_scores(self.method.schema)

    @property
    def signature(self) -> str:
        """Signature of every score."""
        return self.preset.signature(self.known_words, len(self.joined.ids), __version__)


def prepare_scoring(joined: JoinedReports, method: ScoreMethod, training: TrainingReports | None) -> ScoreSetup:
    """Load preset and optional metrics, and prepare the references.

    Raises:
        UsageError: The preset or an optional metric is unknown.
    """
    preset = load_preset(method.preset)
    train = list(training.train.values()) if training else None
    known_words = preset.known_words(train)
    prepared = preset.prepare_references(joined.references, known_words)
    optional, notices = load_optional(method.optional)
    return ScoreSetup(
        method=method,
        preset=preset,
        joined=joined,
        training=training,
        known_words=known_words,
        references=ReportTexts(name="references", texts=joined.references, prepared=prepared, schema=method.schema),
        normalized_training=None if train is None else frozenset(map(normalize_text, train)),
        optional=optional,
        optional_notices=notices,
    )
