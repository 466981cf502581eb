"""Render a comparison of models for the terminal: one row per model, and a table for each pair of models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from report_gen.evaluation.comparison import ComparedModel, Comparison, ReferenceScores
from report_gen.evaluation.corpus_drafts import SHUFFLED
from report_gen.metrics import PairTest, Score, score_table
from report_gen.metrics.finding_scores import is_finding_score

COST_NOTE = (
    "seconds: median wall time of a draft from its own images. memory: largest resident memory of the program and its "
    "children, measured ten times per second while the model was loaded and drafted, and how much was added to that "
    "before the model was loaded; memory that earlier models freed may be used again. GPU memory: largest memory of "
    "tensors of PyTorch. Other computers are not measured"
)
_NAME_WIDTH = 12
"""Smallest width of the names of models, characters."""
PAIR_NOTE = (
    "p: paired bootstrap and approximate randomization; Holm: the p-value to its left, corrected for the number of "
    "pairs"
)


def render_comparison(comparison: Comparison) -> RenderableType:
    """Render the scores, costs and tests of several models. It quotes no report."""
    return Group(*_parts(comparison))


def image_use_text(parts: Sequence[ReferenceScores], model: str) -> str:
    """Return whether a model uses images, by the scores with shuffled images, for each kind of reference."""
    verdicts = {part.against: "yes" if part.uses_images(model, SHUFFLED) else "no" for part in parts}
    same = set(verdicts.values())
    return same.pop() if len(same) == 1 else ", ".join(f"{verdict} ({name})" for name, verdict in verdicts.items())


def share_text(share: float | None) -> str:
    """Return a share as a percentage; a dash if there is none."""
    return "-" if share is None else f"{share:.0%}"


def memory_text(size: int | None) -> str:
    """Return a size in GiB; a dash if it was not measured."""
    return "-" if size is None else f"{size / 2**30:.2f} GiB"


def seconds_text(seconds: float) -> str:
    """Return a duration with three digits."""
    return f"{seconds:#.3g}"


def _parts(comparison: Comparison) -> Iterator[RenderableType]:
    for part in comparison.parts:
        for kind, is_finding in (("wording", False), ("findings", True)):
            if names := [name for name in part.names if is_finding_score(name) is is_finding]:
                yield _scores(f"Against the {part.against}: {kind}, 95% intervals", part, names)
    yield _costs(comparison)
    yield Text(COST_NOTE, style="dim")
    for part in comparison.parts:
        yield from _pairs(part)
    if any(part.pairs for part in comparison.parts):
        yield Text(PAIR_NOTE, style="dim")
    for notice in comparison.notices:
        yield Text(notice, style="yellow")
    for failed in comparison.failed:
        yield Text(f"{failed.given} failed: {failed.reason}", style="bold red")
    yield Text(f"{len(comparison.studies)} studies, drafted by {_count_models(comparison.models)}")


def _count_models(models: Sequence[ComparedModel]) -> str:
    return f"all {len(models)} models" if len(models) > 1 else "one model"


def _scores(title: str, part: ReferenceScores, names: Sequence[str]) -> Table:
    table = _table(title, (name.replace(", ", "\n").replace(" (", "\n(") for name in names))
    for system, scores in (*part.models.items(), *part.baselines.items()):
        style = None if system in part.models else "dim"
        table.add_row(system, *(_score(scores[name]) for name in names), style=style)
    return table


def _table(title: str, columns: Iterable[str]) -> Table:
    """Return an empty table whose first column is for the names of models, which are never cut."""
    table = score_table(title, "", *columns)
    table.columns[0].overflow, table.columns[0].min_width = "fold", _NAME_WIDTH
    return table


def _score(score: Score) -> str:
    """Return a score with its interval below it, so that a row fits into a terminal."""
    interval = "" if score.interval is None else "\n{:.3f}-{:.3f}".format(*score.interval)
    return f"{score.value:.3f}{interval}"


def _costs(comparison: Comparison) -> Table:
    titles = (
        "uses images\n(shuffled)",
        "normal\ndrafts",
        "seconds\nper study",
        "memory",
        "GPU\nmemory",
        "left\nout",
        "no\nreport",
    )
    table = _table("Models", titles)
    for model in comparison.models:
        run = model.run
        table.add_row(
            model.name,
            image_use_text(comparison.parts, model.name).replace(", ", "\n"),
            share_text(model.normal_share),
            seconds_text(run.seconds),
            f"{memory_text(run.memory.resident)}\n+{memory_text(run.memory.added)}",
            memory_text(run.memory.gpu),
            str(len(run.drafts.refused)),
            str(len(run.drafts.without_draft)),
        )
    return table


def _pairs(part: ReferenceScores) -> Iterator[Table]:
    by_pair: dict[tuple[str, str], list[PairTest]] = {}
    for test in part.pairs:
        by_pair.setdefault((test.first, test.second), []).append(test)
    for (first, second), tests in by_pair.items():
        title = f"{second} minus {first}, against the {part.against}"
        table = score_table(title, "", "change", "95%", "p boot", "Holm", "p rand", "Holm")
        for test in tests:
            table.add_row(*_pair_cells(test))
        yield table


def _pair_cells(test: PairTest) -> list[str]:
    one = test.difference
    ends = "{:+z.3f} to {:+z.3f}".format(*one.interval)
    p_values = (one.p_bootstrap, test.holm_bootstrap, one.p_randomization, test.holm_randomization)
    return [one.name, f"{one.second - one.first:+z.4f}", ends, *(f"{value:.4f}" for value in p_values)]
