"""Scores of locations: means of pairs, intervals over patients, controls and class centers."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from report_gen.metrics import (
    BoxedFinding,
    LocatedFinding,
    LocationRun,
    PlacedMap,
    Rectangle,
    mean_box_map,
    render_locations,
    score_locations,
)
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, Side, Zone

LEFT_HALF, RIGHT_HALF = Rectangle(0, 0, 0.5, 1), Rectangle(0.5, 0, 1, 1)
LOWER = frozenset({Zone.LOWER})


def boxed(patient: int, finding: str, *, side: Side = Side.RIGHT, box: Rectangle = LEFT_HALF) -> BoxedFinding:
    return BoxedFinding(
        study=f"study-{patient}",
        patient=str(patient),
        finding=finding,
        boxes=(box,),
        location=FindingLocation(side, LOWER if side is not Side.MIDLINE else frozenset()),
    )


def located(column: int, side: Side = Side.UNKNOWN) -> LocatedFinding:
    """All attention in one of two columns, the left or the right half of the image."""
    weights = np.zeros((1, 2))
    weights[0, column] = 1
    return LocatedFinding(attention=PlacedMap(weights=weights), location=FindingLocation(side))


def score(
    pairs: Sequence[BoxedFinding], own: Sequence[LocatedFinding], **controls: list[LocatedFinding]
) -> LocationRun:
    run = score_locations(pairs, own, controls, {"Edema": mean_box_map([[RIGHT_HALF]])}, draws=500, seed=0)
    assert run is not None
    return run


def test_scores_are_means_over_pairs_by_finding() -> None:
    pairs = [
        boxed(1, "Edema"),
        boxed(2, "Edema"),
        boxed(3, "Mass", side=Side.LEFT),
        boxed(4, "Hernia", side=Side.MIDLINE),
    ]
    own = [located(0, Side.RIGHT), located(1, Side.LEFT), located(0), located(0, Side.RIGHT)]
    run = score(pairs, own)
    values = {one.name: one.value for one in run.scores}
    assert values["all findings pointing game"] == values["all findings attention in boxes"] == 0.75
    assert values["Edema pointing game"] == 0.5
    assert values["all findings side correct when stated"] == values["Edema side correct when stated"] == 0.5
    assert values["all findings side stated"] == pytest.approx(2 / 3)  # Hernia has no side
    assert values["Mass side stated"] == 0
    assert "Mass side correct when stated" not in values
    assert "Hernia side stated" not in values
    assert values["all findings zones stated"] == 0
    assert values["all findings area of boxes"] == 0.5
    assert (
        values["all findings pointing game of the class center"]
        == values["Edema pointing game of the class center"]
        == 0
    )
    assert "Mass pointing game of the class center" not in values
    assert list(run.support) == ["all findings", "Edema", "Hernia", "Mass"]
    everything = run.support["all findings"]
    assert (everything.pairs, everything.sided, everything.zoned, everything.center) == (4, 3, 3, 2)
    assert run.sides == {"right": {"right": 1, "left": 1}, "left": {"unknown": 1}, "midline": {"right": 1}}
    assert [(pair.study, pair.pointing, pair.side, pair.stated_side, pair.zones) for pair in run.pairs[1:3]] == [
        ("study-2", 0, "right", "left", ("lower",)),
        ("study-3", 1, "left", "unknown", ("lower",)),
    ]


def test_the_interval_is_over_patients_not_over_pairs() -> None:
    """Ten pairs of each patient are equal: the interval is that of the patients, ten times fewer."""
    hits = [0, 1] * 8
    once = score([boxed(number, "Mass") for number in range(16)], [located(1 - hit) for hit in hits])
    often = score(
        [boxed(number, "Mass") for number in range(16) for _ in range(10)],
        [located(1 - hit) for hit in hits for _ in range(10)],
    )
    for run in (once, often):
        pointing = run.find("all findings", "pointing game")
        assert pointing is not None
        assert (pointing.value, pointing.interval) == (0.5, (0.25, 0.75))


def test_few_patients_have_no_interval_and_no_difference() -> None:
    pairs, own = [boxed(number, "Edema") for number in range(4)], [located(0)] * 4
    run = score(pairs, own, blank=[located(1)] * 4)
    assert {one.interval for one in run.scores} == {None}
    assert (run.image_use, run.against_center) == ({"blank": ()}, ())
    assert score_locations([], [], {}, {}, draws=100, seed=0) is None


def test_controls_and_class_centers_are_compared_on_the_same_pairs() -> None:
    pairs = [boxed(number, "Edema" if number < 6 else "Mass") for number in range(8)]
    own = [located(0, Side.RIGHT)] * 8
    shuffled = [located(number % 2, Side.LEFT if number < 5 else Side.UNKNOWN) for number in range(8)]
    run = score(pairs, own, shuffled=shuffled, blank=[located(1)] * 8)
    differences = {one.name: one for one in run.image_use["shuffled"]}
    pointing = differences["all findings pointing game"]
    assert (pointing.first, pointing.second) == (0.5, 1)
    assert pointing.interval[0] > 0
    assert (differences["all findings side correct when stated"].first, run.support["all findings"].sided) == (0, 8)
    assert [one.name for one in run.image_use["blank"]] == [
        "all findings pointing game",
        "all findings attention in boxes",
    ]
    (center,) = run.against_center
    assert (center.first, center.second) == (0, 1)


def test_the_tables_show_counts_and_intervals() -> None:
    pairs = [boxed(number, "Edema") for number in range(6)]
    run = score(pairs, [located(0, Side.RIGHT)] * 6, shuffled=[located(1, Side.LEFT)] * 6)
    console = Console(width=80, file=StringIO())
    for table in render_locations(run):
        console.print(table)
    shown = console.file.getvalue()
    assert "all findings      6     1.000  1.000 to 1.000   1.000   0.000    1.000    0.500" in shown
    assert "all findings       6    100%    1.000  1.000 to 1.000      6      0%" in shown
    assert "Attention against the centers of the classes" in shown
    assert "Locations with shuffled images" in shown
    assert "Hernia" not in shown
    nothing = score(
        [boxed(1, "Hernia", side=Side.MIDLINE)],
        [LocatedFinding(attention=PlacedMap(weights=np.ones((2, 2))), location=UNKNOWN_LOCATION)],
    )
    titles = [table.title for table in render_locations(nothing)]
    assert titles == ["Location: attention against the boxes of findings"]
