"""Render the stacks of a study as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from report_gen.imaging.volumes import SliceStack

_COLUMNS = ("stack", "series", "kind", "slices", "spacing, mm", "description")


def render_stacks(name: str, stacks: Sequence[SliceStack]) -> Table:
    """Return one row for each stack.

    Args:
        name: Name of the study, the title of the table.
        stacks: The stacks, numbered from 1.
    """
    table = Table(title=Text(name), title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, no_wrap=column != "description")
    for number, stack in enumerate(stacks, start=1):
        cells = (
            number,
            "" if stack.series_number is None else stack.series_number,
            " ".join(filter(None, (stack.modality, stack.plane))),
            len(stack.images),
            _spacing(stack),
            ": ".join(filter(None, (stack.description, stack.part))),
        )
        table.add_row(*(Text(str(cell)) for cell in cells))
    return table


def _spacing(stack: SliceStack) -> str:
    """Return the distances between columns, rows and slices."""
    plane = stack.images[0].plane
    if plane is None:
        return ""
    distances = (plane.spacing[1], plane.spacing[0], *((stack.spacing,) if stack.spacing else ()))
    return " x ".join(f"{distance:.3g}" for distance in distances)
