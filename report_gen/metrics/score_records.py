"""Options and results of a score run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from report_gen.labeling import chest_xray
from report_gen.metrics.cases import Case
from report_gen.metrics.diversity import DiversityStats
from report_gen.metrics.score import Score
from report_gen.metrics.significance import Difference, SeedSpread
from report_gen.metrics.verdicts import Verdict, headline_scores
from report_gen.records import FindingSchema


@dataclass(frozen=True, kw_only=True)
class ScoreMethod:
    """Settings of the scores, whatever the source of the texts."""

    preset: str = "raw"
    """Name of a shipped preset or path of a .toml file."""
    draws: int = 1000
    """Bootstrap resamplings; 0 for no intervals."""
    seed: int = 0
    java: bool = True
    """Compute METEOR 1.5 where Java and pycocoevalcap are installed; otherwise exact+stem F."""
    optional: Mapping[str, Path] = field(default_factory=dict)
    """Weights folder of each requested optional metric: `bertscore`, `chexbert`, `radgraph`."""
    schema: FindingSchema = field(default_factory=chest_xray)
    """The findings that are labeled in the texts."""


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(ScoreMethod):
    """Files and settings of a score run."""

    predictions: Path
    references: Path
    """Of an annotation.json the test split. Its other splits are the training reports if `train` is not given."""
    train: Path | None = None
    """Training reports, for the preset's vocabulary, the baselines and the share of copied drafts."""
    id_column: str | None = None
    allow_missing: bool = False
    """Score the studies that both files contain, and report which were left out."""
    other_seeds: tuple[Path, ...] = ()
    """Predictions of the same model, trained with other seeds, for the same studies."""
    compare: Path | None = None
    """Predictions of another system for the same studies."""
    features: Path | None = None
    """Image features of train and test (.npz with `ids` and `features`) for the image 1-NN baseline."""


@dataclass(frozen=True, kw_only=True)
class SystemScores:
    """The scores of a model or a baseline."""

    name: str
    scores: tuple[Score, ...]
    diversity: DiversityStats

    def __getitem__(self, name: str) -> Score:
        return next(score for score in self.scores if score.name == name)


@dataclass(frozen=True, kw_only=True)
class ScoreRun:
    """All results of a score run."""

    signature: str
    """The part of the signature that all scores share."""
    schema: FindingSchema
    """The findings that are labeled in the texts."""
    draws: int
    seed: int
    model: SystemScores
    baselines: tuple[SystemScores, ...]
    reference_diversity: DiversityStats
    support: Mapping[str, Mapping[str, int]]
    """Number of references with each finding, by the policy for uncertain mentions."""
    against_baselines: Mapping[str, tuple[Difference, ...]]
    """The headline scores of the model minus the scores of each baseline, by its name."""
    comparison: tuple[Difference, ...]
    """The headline scores of the model minus the scores of the other system; empty without one."""
    training_seeds: tuple[SeedSpread, ...]
    """Every score over the training seeds; empty without drafts of other seeds."""
    image_use: Mapping[str, tuple[Difference, ...]]
    """Every score with the studies' own images minus that with control images, by the control's name; empty without
    drafts from control images."""
    verdicts: tuple[Verdict, ...]
    notices: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the scores by which the model is compared with others."""
        return headline_scores(self.schema)

    @property
    def fails(self) -> bool:
        """Whether a strict run fails: drafts collapsed, or are no better than one constant report."""
        return any(verdict.fails for verdict in self.verdicts)
