"""Monitor a run: progress at the terminal, plots and pages in the run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from report_gen.files import write_atomically
from report_gen.terminal import Bars, bars

from ..recipe import Recipe, StageRecipe, TuningRecipe
from ..run import LOG, Progress, Validation, selection_scores
from .curves import draw_curves
from .history import read_history
from .sample_page import SamplePage
from .scalar_log import TensorBoardLog

CURVES = "curves.png"


@contextmanager
def open_monitor(recipe: Recipe | TuningRecipe, folder: Path) -> Iterator[Monitor]:
    """Monitor the run of a folder while the context lasts."""
    # A fine-tuning is one stage with the name of the run.
    stages = (recipe,) if isinstance(recipe, TuningRecipe) else recipe.stages
    with bars() as shown, TensorBoardLog(folder, stages) if recipe.tensorboard else nullcontext() as board:
        yield Monitor(recipe.name, folder, stages, shown, board)


class Monitor:
    """Progress bars and messages at the terminal; curves.png, samples.html and TensorBoard events in the run folder."""

    def __init__(
        self,
        name: str,
        folder: Path,
        stages: Sequence[StageRecipe | TuningRecipe],
        shown: Bars,
        board: TensorBoardLog | None,
    ) -> None:
        self._name, self._folder, self._bars, self._board = name, folder, shown, board
        self._min_distinct = {stage.name: stage.min_distinct for stage in stages}
        self._samples = SamplePage(folder, name)
        self._latest: Progress | None = None

    def on_progress(self, task: str, done: int, total: int) -> None:
        """Show the progress of reading the corpora."""
        self._bars.show(task, done, total)

    def on_step(self, now: Progress) -> None:
        """Show a step. Raises OutputError if the run folder cannot be written."""
        self._latest = now
        self._show(now, now.best)
        if self._board is not None:
            self._board.on_step(now)

    def on_validation(self, now: Validation) -> None:
        """Show a validation and update the plots and pages. Raises OutputError if the run folder cannot be written."""
        self._bars.say(f"{now.stage}, step {now.step}: {', '.join(_figures(now))}", alarm=now.collapsed)
        if self._latest is not None and now.chosen:
            self._show(self._latest, now)
        self._samples.add(now)
        curves = draw_curves(read_history(self._folder / LOG), self._min_distinct, title=self._name)
        write_atomically(self._folder / CURVES, curves)
        if self._board is not None:
            self._board.on_validation(now)

    def _show(self, now: Progress, best: Validation | None) -> None:
        note = f"loss {now.loss:.3f}, {now.studies / now.seconds:.3g} studies/s"
        if best is not None and (text := _describe_best(best)):
            note += f", {text}"
        self._bars.show(now.stage, now.step, now.steps, note, alarm="collapse" if now.collapsed else "")


def _describe_best(best: Validation) -> str:
    if best.score is not None:
        return f"best score {best.score:.3f}"
    return "" if best.loss is None else f"best validation loss {best.loss:.3f}"


def _figures(now: Validation) -> Iterator[str]:
    if now.collapsed:
        yield "the drafts have collapsed"
    yield "no validation studies" if now.loss is None else f"validation loss {now.loss:.3f}"
    yield from (f"{name.split(',')[0]} {now.scores[name]:.3f}" for name in selection_scores(now.scores))
    if now.distinct is not None:
        yield f"{now.distinct:.0%} as many distinct drafts as references"
    if now.chosen:
        yield "best so far"
