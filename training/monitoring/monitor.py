"""A run as it goes: at the terminal, and in the pictures and pages of its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from report_gen.files import write_atomically
from report_gen.terminal import Bars, bars

from ..recipe.schema import Recipe
from ..run.events import Progress, Validation, selection_scores
from ..run.folder import LOG
from .curves import draw_curves
from .history import read_history
from .sample_page import SamplePage
from .scalar_log import Board

CURVES = "curves.png"


@contextmanager
def watching(recipe: Recipe, folder: Path) -> Iterator[Watcher]:
    """Someone who watches the run of a folder, as long as the context lasts."""
    with bars() as shown, Board(folder, recipe.stages) if recipe.tensorboard else nullcontext() as board:
        yield Watcher(recipe, folder, shown, board)


class Watcher:
    """Bars and lines at the terminal; curves.png, samples.html and TensorBoard's events in the run folder."""

    def __init__(self, recipe: Recipe, folder: Path, shown: Bars, board: Board | None) -> None:
        self._name, self._folder, self._bars, self._board = recipe.name, folder, shown, board
        self._floors = {stage.name: stage.fewest_distinct for stage in recipe.stages}
        self._samples = SamplePage(folder, recipe.name)

    def on_progress(self, task: str, done: int, total: int) -> None:
        """How far the reading of the corpora is."""
        self._bars.show(task, done, total)

    def on_step(self, now: Progress) -> None:
        """Raises OutputError when the run folder cannot be written."""
        note = f"loss {now.loss:.3f}, {now.studies / now.seconds:.3g}/s"
        if now.best is not None and (merit := _merit(now.best)):
            note += f", {merit}"
        self._bars.show(now.stage, now.step, now.steps, note, alarm="collapse" if now.collapsed else "")
        if self._board is not None:
            self._board.on_step(now)

    def on_validation(self, now: Validation) -> None:
        """Raises OutputError when the run folder cannot be written."""
        self._bars.say(f"{now.stage}, step {now.step}: {', '.join(_figures(now))}", alarm=now.collapsed)
        self._samples.add(now)
        curves = draw_curves(read_history(self._folder / LOG), self._floors, title=self._name)
        write_atomically(self._folder / CURVES, curves)
        if self._board is not None:
            self._board.on_validation(now)


def _merit(best: Validation) -> str:
    if best.score is not None:
        return f"best score {best.score:.3f}"
    return "" if best.loss is None else f"best loss {best.loss:.3f}"


def _figures(now: Validation) -> Iterator[str]:
    if now.collapsed:
        yield "the drafts have collapsed"
    yield "no validation studies" if now.loss is None else f"validation loss {now.loss:.3f}"
    yield from (f"{name.split(',')[0]} {now.scores[name]:.3f}" for name in selection_scores(now.scores))
    if now.distinct is not None:
        yield f"{now.distinct:.0%} as many different drafts as references"
    if now.chosen:
        yield "best so far"
