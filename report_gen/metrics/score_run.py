"""What a score run is asked for and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from report_gen.labeling.schema_files import chest_xray
from report_gen.metrics.cases import Case
from report_gen.metrics.diversity import DiversityStats
from report_gen.metrics.score import Score
from report_gen.metrics.significance import Difference, SeedSpread
from report_gen.metrics.verdicts import Verdict, headline_scores
from report_gen.records.findings import FindingSchema


@dataclass(frozen=True, kw_only=True)
class ScoreMethod:
    """How to score, wherever the texts come from."""

    preset: str = "raw"
    """A shipped preset's name or the path of a .toml file."""
    draws: int = 1000
    """Bootstrap resamplings; 0 for no intervals."""
    seed: int = 0
    java: bool = True
    """METEOR 1.5 where Java and pycocoevalcap are installed; otherwise the exact+stem form."""
    optional: Mapping[str, Path] = field(default_factory=dict)
    """The folder of weights for each of `bertscore`, `chexbert` and `radgraph` that is wanted."""
    schema: FindingSchema = field(default_factory=chest_xray)
    """The findings that are read from the texts."""


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(ScoreMethod):
    """What to score against what, and how."""

    predictions: Path
    references: Path
    """Of an annotation.json the test split; its other splits serve as training reports when `train` is not given."""
    train: Path | None = None
    """Training reports: for the preset's vocabulary, the baselines and the share copied."""
    id_column: str | None = None
    allow_missing: bool = False
    """Score the studies that both files have, and say which were left out."""
    other_seeds: tuple[Path, ...] = ()
    """Predictions of the same model, trained with other seeds, for the same studies."""
    compare: Path | None = None
    """Predictions of another system for the same studies."""
    features: Path | None = None
    """Image features of train and test (.npz with `ids` and `features`) for the image 1-NN baseline."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A model or a baseline with its scores."""

    name: str
    scores: tuple[Score, ...]
    diversity: DiversityStats

    def __getitem__(self, name: str) -> Score:
        return next(score for score in self.scores if score.name == name)


@dataclass(frozen=True, kw_only=True)
class ScoreRun:
    """Everything that came out."""

    signature: str
    """The recipe that all scores share."""
    schema: FindingSchema
    """The findings that were read from the texts."""
    draws: int
    seed: int
    model: System
    baselines: tuple[System, ...]
    references: DiversityStats
    support: Mapping[str, Mapping[str, int]]
    """How many references have each finding, by the policy of uncertainty."""
    against_baselines: Mapping[str, tuple[Difference, ...]]
    """The model minus each baseline, on the headline scores, by the baseline's name."""
    comparison: tuple[Difference, ...]
    """This model minus the other one, where one was given."""
    seeds: tuple[SeedSpread, ...]
    """Every score over the training seeds, where drafts of other seeds were given."""
    image_use: Mapping[str, tuple[Difference, ...]]
    """Every score from the studies' own images minus that from what the model was shown instead, by the name of that;
    empty where no such drafts were given."""
    verdicts: tuple[Verdict, ...]
    notices: tuple[str, ...]
    cases: tuple[Case, ...]

    @property
    def headline(self) -> tuple[str, ...]:
        """Names of the scores on which the model is compared with others."""
        return headline_scores(self.schema)

    @property
    def fails(self) -> bool:
        """Whether a strict run ends with an error: collapsed, or no better than one constant report."""
        return any(verdict.fails for verdict in self.verdicts)
