"""Compare the trials of an experiment: mean and range of every figure over the seeds, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .figures import Document, Figure, baselines_of, figures_of, training_figures
from .question import Question
from .trials import Trial


@dataclass(frozen=True)
class Spread:
    """The values of a figure over several trials."""

    values: tuple[float, ...]
    """Values in seed order."""
    p: float | None
    """p-value of a difference: the highest over the trials."""

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def text(self) -> str:
        parts = []
        if max(self.values) > min(self.values):
            parts.append(f"{min(self.values):.3f} to {max(self.values):.3f}")
        if self.p is not None:
            parts.append(f"p {self.p:.4f}")  # the smallest p-value of 2,000 bootstrap draws is 0.0005
        return f"{self.mean:.3f}" + (f" ({'; '.join(parts)})" if parts else "")


Column = Mapping[str, Spread]
"""Figures of a run or baseline, by name."""


@dataclass(frozen=True)
class Results:
    """The results of an experiment so far."""

    question: Question
    seeds: tuple[int, ...]
    studies: int
    """Studies drafted per trial."""
    runs: Mapping[str, Column]
    """Run name -> figures, in the order of the experiment."""
    baselines: Mapping[str, Column]
    """Baseline name -> figures; image 1-NN depends on the encoder, so its range covers all trials."""

    @property
    def figures(self) -> list[str]:
        """Names of all figures, in table order."""
        columns = (*self.runs.values(), *self.baselines.values())
        return list(dict.fromkeys(name for column in columns for name in column))


def gather(question: Question, evaluated: Sequence[tuple[Trial, Document]]) -> Results:
    """Combine the evaluations of one or more trials."""
    runs: dict[str, list[list[Figure]]] = {}
    baselines: dict[str, list[list[Figure]]] = {}
    for trial, document in evaluated:
        runs.setdefault(trial.run, []).append([*figures_of(document), *training_figures(trial.training)])
        for name, figures in baselines_of(document).items():
            baselines.setdefault(name, []).append(figures)
    return Results(
        question=question,
        seeds=tuple(dict.fromkeys(trial.seed for trial, _ in evaluated)),
        studies=evaluated[0][1]["studies"],
        runs={name: _column(trials) for name, trials in runs.items()},
        baselines={name: _column(trials) for name, trials in baselines.items()},
    )


def render_markdown(results: Results) -> str:
    """Return one table with a column per run and baseline."""
    question = results.question
    columns = {**results.runs, **{f"baseline: {name}": column for name, column in results.baselines.items()}}
    rows = [
        ["", *columns],
        ["---", *(["---:"] * len(columns))],
        *([name, *(_cell(column, name) for column in columns.values())] for name in results.figures),
    ]
    seeds = ", ".join(map(str, results.seeds))
    return (
        f"# {question.title}\n\n"
        f"Corpus {question.corpus!r}, split {question.split}: {results.studies} studies. Seeds {seeds}: mean (range). "
        "Differences show the highest p-value over the seeds (paired bootstrap over the studies).\n\n"
        + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    )


def results_to_json(results: Results) -> str:
    """Return everything as JSON."""
    document = {
        "question": results.question.model_dump(mode="json"),
        "seeds": results.seeds,
        "studies": results.studies,
        "runs": {name: _to_dict(column) for name, column in results.runs.items()},
        "baselines": {name: _to_dict(column) for name, column in results.baselines.items()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _column(trials: Sequence[Iterable[Figure]]) -> dict[str, Spread]:
    found: dict[str, list[Figure]] = {}
    for figures in trials:
        for figure in figures:
            found.setdefault(figure.name, []).append(figure)
    return {name: _spread(figures) for name, figures in found.items()}


def _spread(figures: Sequence[Figure]) -> Spread:
    ps = [figure.p for figure in figures if figure.p is not None]
    return Spread(tuple(figure.value for figure in figures), max(ps, default=None))


def _cell(column: Column, name: str) -> str:
    return column[name].text if name in column else ""


def _to_dict(column: Column) -> dict[str, object]:
    return {
        name: {"mean": spread.mean, "values": spread.values, "p": spread.p, "text": spread.text}
        for name, spread in column.items()
    }
