"""The door of training: `report-gen train`, `python -m training`, `accelerate launch -m training`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from report_gen.errors import UsageError

if TYPE_CHECKING:
    from .recipe.schema import Recipe


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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure memory and a few steps, and show the first batch; train nothing.")
    ] = False,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(help="Where --dry-run puts its picture of the first images. Default: <name>-images.png."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="List every key of a recipe with its meaning.")] = False,
) -> None:
    """Train a model to a recipe, and write its checkpoint to RUN/best."""
    from .recipe.explain import render_keys
    from .recipe.loading import load_recipe

    if explain:
        Console().print(render_keys())
        return
    if not recipe:
        raise typer.BadParameter("name a recipe, or ask for --explain", param_hint="RECIPE")
    loaded = load_recipe(recipe, settings or ())
    if dry_run and (resume or output):
        raise UsageError("--dry-run leaves no run behind; it goes without --resume and --output")
    if contact_sheet and not dry_run:
        raise UsageError("--contact-sheet is the picture of a --dry-run; ask for that too")
    if dry_run:
        _dry_run(loaded, contact_sheet or Path(f"{loaded.name}-images.png"))
    else:
        _run(loaded, output or Path("runs") / loaded.name, resume=resume)


def _run(recipe: Recipe, folder: Path, *, resume: bool) -> None:
    from accelerate import PartialState

    from .monitoring.monitored_run import train_watched

    checkpoint = train_watched(recipe, folder, resume=resume)
    if PartialState().is_main_process:
        Console().print(f"checkpoint: {checkpoint}", soft_wrap=True, highlight=False, markup=False)


def _dry_run(recipe: Recipe, picture: Path) -> None:
    from report_gen.files import write_atomically
    from report_gen.terminal import bars

    from .monitoring.contact_sheet import draw_contact_sheet
    from .monitoring.dry_run import dry_run
    from .monitoring.dry_run_tables import render_dry_run

    with bars() as shown:
        results = dry_run(recipe, shown.show)
    console = Console()
    console.print(render_dry_run(results))
    if results.strips:
        write_atomically(picture, draw_contact_sheet(results.strips))
        console.print(
            f"images of the first batches, of patients: {picture}", soft_wrap=True, highlight=False, markup=False
        )
