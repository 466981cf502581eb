"""Trials: a run of a question with one seed, trained and evaluated, as far as that was not done before."""

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
from report_gen.model.checkpoint import MANIFEST
from report_gen.terminal import track

from ..monitoring.monitored_run import train_watched
from ..recipe.schema import CorpusRecipe, Recipe
from ..run.folder import BEST, RECIPE, Run
from .question import Question

EVALUATION, ASKED = "evaluation.json", "asked.json"
_METHOD = ScoreMethod(draws=2000, java=False)


@dataclass(frozen=True)
class Trial:
    """One run of a question with one seed."""

    run: str
    seed: int
    recipe: Recipe
    corpus: CorpusRecipe
    """By which it is evaluated."""
    split: str
    decoding: Decoding
    nearest: bool
    folder: Path
    """Where its evaluation lies."""
    training: Path
    """Its run folder: its own, or that of an earlier trial whose recipe is the same."""


def plan(question: Question, seeds: Sequence[int], folder: Path, settings: Sequence[str] = ()) -> list[Trial]:
    """All trials of a question: every run with the first seed, then every run with the next one.

    Raises:
        RecipeError: a recipe is wrong.
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


def conduct(trial: Trial) -> dict[str, Any]:
    """Train and evaluate; gives what `report-gen evaluate --json` writes.

    Raises:
        UsageError: the run folder holds a run of another recipe.
        CorpusError, RecipeError, OutputError, ResourceError, StoppedError: as training and evaluation raise them.
    """
    _train(trial)
    manifest = (trial.training / BEST / MANIFEST).read_bytes()
    asked = {
        "weights": hashlib.sha256(manifest).hexdigest(),
        "corpus": trial.corpus.model_dump(include={"path", "layout"}),
        "split": trial.split,
        "decoding": asdict(trial.decoding),
        "nearest": trial.nearest,
    }
    document, mark = trial.folder / EVALUATION, trial.folder / ASKED
    if not (mark.exists() and document.exists() and json.loads(mark.read_bytes()) == asked):
        _evaluate(trial, document)
        write_atomically(mark, json.dumps(asked, indent=2) + "\n")  # last: with it the document is whole
    evaluation: dict[str, Any] = json.loads(document.read_bytes())
    return evaluation


def _train(trial: Trial) -> None:
    """A run folder with a checkpoint is done; one without goes on where it was stopped."""
    folder = trial.training
    if (folder / BEST).is_dir():
        with Run.open(folder, trial.recipe, resume=True):  # refuses another recipe
            return
    train_watched(trial.recipe, folder, resume=(folder / RECIPE).exists())


def _evaluate(trial: Trial, document: Path) -> None:
    with TemporaryDirectory(prefix="report-gen-") as store:
        path = trial.recipe.resolve(trial.corpus.path)
        drafter = Drafter.load(trial.training / BEST)
        studies = list(read_corpus(path, layout=trial.corpus.layout, store=Path(store), schema=drafter.schema))
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
                items, total=total, description=f"{trial.run}, seed {trial.seed}: looking at {what}"
            ),
        )
    write_evaluation(evaluation, document)
