"""Sets of images for the benchmark of the recognizer, and its intervals."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.benchmarks.scope import parse_set, wilson_interval
from report_gen_training.data import split_of_group

from tests.builders import noise_image, write_png


def test_a_folder_is_a_set(tmp_path: Path) -> None:
    images = [write_png(tmp_path / name, noise_image()) for name in ("b.png", "a.png")]
    (tmp_path / "notes.txt").write_text("no image")
    assert parse_set(f"mine={tmp_path}") == ("mine", tuple(sorted(images)))


def test_a_table_selects_rows_and_test_groups(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    rows = [(f"{number}.png", f"p{number}", "PA" if number % 2 else "L") for number in range(40)]
    table.write_text("image,patient,view\n" + "".join(",".join(row) + "\n" for row in rows))
    expected = tuple(
        tmp_path / name for name, patient, view in rows if view == "L" and split_of_group(patient) == "test"
    )
    assert len(expected) > 1
    assert parse_set(f"lateral={table}:patient?view=L,LL") == ("lateral", expected)
    assert len(parse_set(f"all={table}").paths) == 40


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    [(0, 100, (0.0, 0.0370)), (50, 100, (0.4038, 0.5962)), (100, 100, (0.9630, 1.0))],
)
def test_the_interval_is_that_of_wilson(successes: int, trials: int, interval: tuple[float, float]) -> None:
    """Values of the Wilson score interval at z = 1.96, computed by hand."""
    assert wilson_interval(successes, trials) == pytest.approx(interval, abs=2e-4)
