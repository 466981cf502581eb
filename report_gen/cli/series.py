"""`report-gen series`: list the stacks of slices of a study, and draw them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from report_gen.cli.options import check_outputs, check_png_name
from report_gen.errors import ReportGenError, StudyError
from report_gen.terminal import (
    Quiet,
    Verbose,
    print_errors,
    print_notice,
    print_table,
    print_text,
    set_verbosity,
    track,
)

if TYPE_CHECKING:
    from report_gen.imaging.volumes import StackCollection, StackViews

_MAX_VIEWS = 128
"""Largest number of slices in a row of the sheet."""
_MAX_STACKS = 100
"""Largest number of stacks on the sheet: matplotlib draws images of at most 65,536 pixels."""


def series(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", readable=False, help="Files, folders or ZIP archives of studies with slices."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.png",
            help="Draw slices of each stack to this PNG file, a row per window. A single row is drawn "
            "larger, in several lines.",
        ),
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=_MAX_VIEWS, help="Slices of each stack that are drawn.")] = 16,
    sampling: Annotated[
        Literal["content", "even"],
        typer.Option(help="content: more slices where they show more, and no empty ends. even: spread evenly."),
    ] = "content",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """List the stacks of slices of every study.

    Images that were set aside, and what is missing or irregular in a stack, are listed as well.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    check_png_name(output, "--output")
    check_outputs(output)
    from report_gen.imaging import JOIN_HINT, open_archives, read_studies
    from report_gen.imaging.volumes import find_stacks, has_slices

    with open_archives(paths) as archives:
        found = read_studies(*archives.paths)
        for notice in found.notices:
            print_notice(archives.restore_names(notice.removesuffix(JOIN_HINT)))
        collections = [(study.name, find_stacks(study)) for study in found.studies]
        errors: list[ReportGenError] = [*archives.refused, *found.refused]
        if output is not None:
            errors += _draw(collections, output, views=views, sampling=sampling)
        print_errors(errors, archives.archives.items())
    for name, collection in collections:  # last, because a pipe may end the command here
        _print(name, collection)
    if without := sum(not has_slices(study) for study in found.studies):
        which = "the study has" if len(found.studies) == 1 else f"{without} of {len(found.studies)} studies have"
        print_text(f"notice: {which} no slices; `report-gen draft` takes radiographs and other single images")
    if errors:
        raise typer.Exit(max(error.exit_code for error in errors))


def _draw(
    collections: Sequence[tuple[str, StackCollection]],
    output: Path,
    *,
    views: int,
    sampling: Literal["content", "even"],
) -> list[StudyError]:
    """Write the contact sheet of all stacks. Return the errors of stacks that cannot be read."""
    from report_gen.files import write_atomically
    from report_gen.imaging.volumes import open_volume, stack_views
    from report_gen.outputs.stack_figure import format_stacks

    errors: list[StudyError] = []
    noticed: list[tuple[str, str]] = []

    def shown() -> Iterator[tuple[str, StackViews]]:
        stacks = [
            (f"{name}, stack {number}" if len(collections) > 1 else f"stack {number}", stack)
            for name, collection in collections
            for number, stack in enumerate(collection.stacks, start=1)
        ]
        if len(stacks) > _MAX_STACKS:
            print_notice(f"only the first {_MAX_STACKS} of {len(stacks)} stacks are drawn")
        drawn = stacks[:_MAX_STACKS]
        for title, stack in track(drawn, total=len(drawn), description="drawing"):
            try:
                chosen = stack_views(open_volume(stack), views, sampling=sampling)
            except StudyError as error:
                errors.append(error)
                continue
            noticed.extend((title, notice) for notice in chosen.notices)
            yield title, chosen

    sheet = format_stacks(shown())
    for line in _joined(noticed):
        print_notice(line)
    if sheet is None:
        print_notice(f"{output} was not written: there is no stack of slices to draw")
    else:
        write_atomically(output, sheet)
    return errors


def _print(name: str, collection: StackCollection) -> None:
    """Print the stacks of a study, the images that were set aside, and the notices."""
    from report_gen.outputs.stack_table import render_stacks

    if collection.stacks:
        print_table(render_stacks(name, collection.stacks))
    else:
        print_text(f"{name}: no stack of slices")
    for aside in collection.set_aside:
        number = "without number" if aside.series_number is None else aside.series_number
        print_text(f"set aside, series {number}: {aside}")
    for notice in collection.notices:
        print_text(f"notice: {notice}")
    stacks = enumerate(collection.stacks, start=1)
    for line in _joined([(f"stack {number}", notice) for number, stack in stacks for notice in stack.notices]):
        print_text(f"notice: {line}")


def _joined(noticed: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each notice of stacks. One that several stacks have is one line with their number.

    Args:
        noticed: Title of a stack, and a notice of it.
    """
    titles: dict[str, list[str]] = {}
    for title, notice in noticed:
        titles.setdefault(notice, []).append(title)
    for notice, found in titles.items():
        others = len(found) - 1
        more = f" and {others} other stack{'' if others == 1 else 's'}" if others else ""
        yield f"{found[0]}{more}: {notice}"
