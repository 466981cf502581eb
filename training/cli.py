"""The door of training: `report-gen train`, `python -m training`, `accelerate launch -m training`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def train(
    recipe: Annotated[
        str, typer.Argument(help="A TOML file, or the name of a recipe that comes with the package.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be repeated."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder. Default: runs/<name>.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run that lies in the run folder.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="List every key of a recipe with its meaning.")] = False,
) -> None:
    """Train a model to a recipe, and write its checkpoint to RUN/best."""
    from .config import load_recipe

    if explain:
        _show_keys()
        return
    if not recipe:
        raise typer.BadParameter("name a recipe, or ask for --explain", param_hint="RECIPE")
    loaded = load_recipe(recipe, settings or ())
    folder = output or Path("runs") / loaded.name

    from report_gen.progress import bars

    from .events import Progress
    from .session import train as run

    with bars() as show:

        def on_step(now: Progress) -> None:
            best = f", best score {now.best.score:.3f}" if now.best and now.best.score is not None else ""
            note = f"loss {now.loss:.3f}{best}{', drafts collapsed' if now.collapsed else ''}"
            show(now.stage, now.step, now.steps, note)

        checkpoint = run(loaded, folder, resume=resume, on_step=on_step)
    Console().print(f"checkpoint: {checkpoint}", soft_wrap=True, highlight=False)


def _show_keys() -> None:
    from .config import explain

    table = Table("key", "default", "meaning")
    for row in explain():
        table.add_row(*row)
    Console().print(table)
