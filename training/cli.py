"""The command `report-gen train`, also `python -m training` and `accelerate launch -m training`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from report_gen.errors import UsageError
from report_gen.terminal import Quiet, Verbose, print_table, print_text, set_verbosity

if TYPE_CHECKING:
    from .recipe.adapter_tuning import TuningRecipe
    from .recipe.schema import Recipe


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="TOML file, or name of a recipe of the package.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe. May be repeated."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder. Default: runs/NAME.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the run folder.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Measure memory and speed in a few steps and show the first batch; keep only its images."
        ),
    ] = False,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(help="PNG file for the first images of a --dry-run. Default: NAME-images.png."),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="List every key of a recipe with its meaning.")] = False,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Train a model with a recipe, or fine-tune a published one. The checkpoint is written to RUN/best."""
    set_verbosity(verbose=verbose, quiet=quiet)
    if explain:
        _explain()
        return
    from .recipe.adapter_tuning import TuningRecipe
    from .recipe.loading import load_any_recipe

    if not recipe:
        raise typer.BadParameter("name a recipe, or use --explain", param_hint="RECIPE")
    loaded = load_any_recipe(recipe, settings or ())
    if dry_run and (resume or output):
        raise UsageError("--dry-run writes no run folder; omit --resume and --output")
    if contact_sheet and not dry_run:
        raise UsageError("--contact-sheet needs --dry-run; add it")
    if isinstance(loaded, TuningRecipe):
        if dry_run:
            raise UsageError("--dry-run is for recipes with stages; use --set steps=2 --set validation_drafts=2")
        _tune(loaded, output or Path("runs") / loaded.name, resume=resume)
    elif dry_run:
        _dry_run(loaded, contact_sheet or Path(f"{loaded.name}-images.png"))
    else:
        _run(loaded, output or Path("runs") / loaded.name, resume=resume)


def _explain() -> None:
    from .recipe.explain import render_keys

    print_table(render_keys())


def _run(recipe: Recipe, folder: Path, *, resume: bool) -> None:
    from accelerate import PartialState

    from .monitoring.monitored_run import train_watched

    checkpoint = train_watched(recipe, folder, resume=resume)
    if PartialState().is_main_process:
        print_text(f"checkpoint: {checkpoint}")


def _tune(recipe: TuningRecipe, folder: Path, *, resume: bool) -> None:
    from .adapter_tuning import tune_watched

    print_text(f"checkpoint: {tune_watched(recipe, folder, resume=resume)}")


def _dry_run(recipe: Recipe, contact_sheet: Path) -> None:
    from report_gen.files import check_writable, write_atomically
    from report_gen.terminal import bars

    from .monitoring.contact_sheet import draw_contact_sheet
    from .monitoring.dry_run import dry_run
    from .monitoring.dry_run_tables import render_dry_run

    check_writable(contact_sheet)
    with bars() as progress:
        results = dry_run(recipe, progress.show)
    print_table(render_dry_run(results))
    if results.strips:
        write_atomically(contact_sheet, draw_contact_sheet(results.strips))
        print_text(f"first images of the training batches (images of patients): {contact_sheet}")
