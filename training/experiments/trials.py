"""Train and evaluate one run of an experiment with one seed; finished work is not repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from report_gen.corpora import read_corpus, read_nih_labels
from report_gen.drafting import Drafter
from report_gen.evaluation import (
    evaluate,
    nearest_candidates,
    select_studies,
    training_reports,
    write_evaluation,
)
from report_gen.files import write_atomically
from report_gen.generation import Decoding
from report_gen.metrics import ScoreMethod
from report_gen.model import MANIFEST
from report_gen.terminal import track

from ..monitoring import train_watched
from ..recipe import CorpusRecipe, Recipe
from ..run import BEST, RECIPE, Run
from .question import Question

EVALUATION, CONDITIONS = "evaluation.json", "conditions.json"
_METHOD = ScoreMethod(draws=2000, java=False)


@dataclass(frozen=True)
class Trial:
    """One run of an experiment with one seed."""

    run: str
    seed: int
    recipe: Recipe
    corpus: CorpusRecipe
    """Corpus for the evaluation."""
    split: str
    decoding: Decoding
    nearest: bool
    folder: Path
    """Folder of the evaluation."""
    training: Path
    """Run folder: its own, or that of an earlier trial with an equal recipe."""


def plan_trials(question: Question, seeds: Sequence[int], folder: Path, settings: Sequence[str] = ()) -> list[Trial]:
    """Plan all trials: every run with the first seed, then every run with the next one.

    Args:
        question: The experiment.
        seeds: Seeds of the trials.
        folder: Folder of all trials.
        settings: Changes to the base recipe, as `key.key=value`.

    Raises:
        RecipeError: A recipe is invalid.
    """
    trials: list[Trial] = []
    trained: dict[str, Path] = {}
    for seed in seeds:
        for run in question.runs:
            recipe = question.recipe_of(run, seed, settings)
            own = folder / run.name / f"seed-{seed}"
            trials.append(
                Trial(
                    run=run.name,
                    seed=seed,
                    recipe=recipe,
                    corpus=question.corpus_of(recipe),
                    split=question.split,
                    decoding=run.decoding or question.decoding,
                    nearest=question.nearest,
                    folder=own,
                    training=trained.setdefault(recipe.model_dump_json(), own / "run"),
                )
            )
    return trials


def run_trial(trial: Trial) -> dict[str, Any]:
    """Train and evaluate a trial, and return the JSON output of `report-gen evaluate`.

    Raises:
        UsageError: The run folder holds a run of another recipe.
        CorpusError, RecipeError, OutputError, ResourceError, StoppedError: As in training and evaluation.
    """
    _train(trial)
    manifest = (trial.training / BEST / MANIFEST).read_bytes()
    conditions = {
        "weights": hashlib.sha256(manifest).hexdigest(),
        "corpus": trial.corpus.model_dump(include={"path", "layout"}),
        "split": trial.split,
        "decoding": asdict(trial.decoding),
        "nearest": trial.nearest,
    }
    document, marker = trial.folder / EVALUATION, trial.folder / CONDITIONS
    if not (marker.exists() and document.exists() and json.loads(marker.read_bytes()) == conditions):
        _evaluate(trial, document)
        write_atomically(marker, json.dumps(conditions, indent=2) + "\n")  # last: it marks the evaluation as complete
    evaluation: dict[str, Any] = json.loads(document.read_bytes())
    return evaluation


def _train(trial: Trial) -> None:
    """Train the trial, unless its run folder holds a checkpoint; an interrupted run is resumed."""
    folder = trial.training
    if (folder / BEST).is_dir():
        with Run.open(folder, trial.recipe, resume=True):  # refuses another recipe
            return
    train_watched(trial.recipe, folder, resume=(folder / RECIPE).exists())


def _evaluate(trial: Trial, document: Path) -> None:
    with TemporaryDirectory(prefix="report-gen-") as store:
        path = trial.recipe.resolve(trial.corpus.path)
        drafter = Drafter.load(trial.training / BEST, base=trial.recipe.model.base)
        studies = list(
            read_corpus(
                path,
                layout=trial.corpus.layout,
                columns=trial.corpus.columns,
                store=Path(store),
                schema=drafter.schema,
            )
        )
        rows = select_studies(studies, trial.split)
        evaluation = evaluate(
            drafter,
            rows,
            decoding=trial.decoding,
            method=replace(_METHOD, schema=drafter.schema),
            training=training_reports(studies, rows),
            nearest=nearest_candidates(studies, rows) if trial.nearest else (),
            nih_labels=read_nih_labels(path, layout=trial.corpus.layout),
            track=lambda items, total, what: track(
                items, total=total, description=f"{trial.run}, seed {trial.seed}: {what}"
            ),
        )
    write_evaluation(evaluation, document)
