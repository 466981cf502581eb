"""Render the scores of locations for the terminal: attention and boxes, sides and zones, controls."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from report_gen.metrics.location_scores import (
    AREA,
    CENTER,
    MASS,
    POINTING,
    POINTING_NEAR,
    SIDE,
    SIDE_STATED,
    TOLERANCE,
    ZONES,
    ZONES_STATED,
    LocationRun,
)
from report_gen.metrics.score_tables import render_differences, render_interval, score_table


def render_locations(run: LocationRun) -> Iterator[Table]:
    """Render the locations of findings with boxes, then the differences from the class centers and from controls."""
    yield _attention(run)
    if any(support.sided or support.zoned for support in run.support.values()):
        yield _sides_and_zones(run)
    if run.against_center:
        yield render_differences(
            "Attention against the centers of the classes", "class\ncenter", "own\nimages", run.against_center
        )
    for control, differences in run.image_use.items():
        if differences:
            yield render_differences(
                f"Locations with {control} images", f"{control}\nimages", "own\nimages", differences
            )


def _attention(run: LocationRun) -> Table:
    headings = (
        "pairs",
        "pointing\ngame",
        "95%",
        f"within\n{TOLERANCE:.0%}",
        "class\ncenter",
        "mass in\nboxes",
        "area of\nboxes",
    )
    table = score_table("Location: attention against the boxes of findings", "", *headings)
    for finding, support in run.support.items():
        figures = [_value(run, finding, kind) for kind in (POINTING_NEAR, CENTER, MASS, AREA)]
        table.add_row(finding, str(support.pairs), *_with_interval(run, finding, POINTING), *figures)
    return table


def _sides_and_zones(run: LocationRun) -> Table:
    headings = ("with a\nside", "side\nstated", "side\ncorrect", "95%", "with\nzones", "zones\nstated", "zone\noverlap")
    table = score_table("Location: stated sides and zones against the boxes of findings", "", *headings)
    for finding, support in run.support.items():
        if support.sided or support.zoned:
            table.add_row(
                finding,
                str(support.sided),
                _value(run, finding, SIDE_STATED, "{:.0%}"),
                *_with_interval(run, finding, SIDE),
                str(support.zoned),
                _value(run, finding, ZONES_STATED, "{:.0%}"),
                _value(run, finding, ZONES),
            )
    return table


def _value(run: LocationRun, finding: str, kind: str, form: str = "{:.3f}") -> str:
    score = run.find(finding, kind)
    return "" if score is None else form.format(score.value)


def _with_interval(run: LocationRun, finding: str, kind: str) -> tuple[str, str]:
    score = run.find(finding, kind)
    return ("", "") if score is None else (f"{score.value:.3f}", render_interval(score))
