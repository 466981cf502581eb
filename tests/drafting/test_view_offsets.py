"""Offsets of the images on their way from the headers to the sequence encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from report_gen.drafting import Drafter, DraftRequest, LoadedStudy, StudyPreprocessor
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.records import Acquisition, Image, SlicePlane, Study
from tests.builders import THRESHOLDS, noise_image, tiny_checkpoint, tiny_config, write_png

NAN = float("nan")
VOLUMES = {"views": 4}
PLACES = ((0.0, 100.0), (7.5, 130.5), (3.0, 130.5), (-5.0, None))
"""Position along the table, millimeters, and time after midnight, seconds, of four slices."""


def slices(folder: Path, order: Sequence[int], scale: float = 1.0) -> Study:
    """Return a study of slices of noise in this order of files."""
    series, images = read_study(write_png(folder / "0.png", noise_image(0))).series[0], []
    for number in order:
        image = read_study(write_png(folder / f"{number}.png", noise_image(number))).images[0]
        images.append(placed(image, *PLACES[number], scale))
    return Study(name="slices", series=(replace(series, images=tuple(images)),))


def placed(image: Image, z: float, seconds: float | None, scale: float) -> Image:
    directions = {"row_direction": (1.0, 0.0, 0.0), "column_direction": (0.0, 1.0, 0.0)}
    plane = SlicePlane(position=(1.0, 2.0, scale * z), spacing=(1.0, 1.0), **directions)
    return replace(image, plane=plane, acquisition=Acquisition(seconds=seconds))


def test_a_batch_has_the_offsets_of_the_headers(tmp_path: Path) -> None:
    preprocessor = StudyPreprocessor(tiny_checkpoint(tiny_config(volumes=VOLUMES)))
    loaded = [preprocessor.load(DraftRequest(slices(tmp_path, order))) for order in ((0, 1, 2, 3), (2, 1))]
    assert all(isinstance(one, LoadedStudy) for one in loaded)
    found = preprocessor.collate(loaded).view_offsets  # type: ignore[arg-type]
    unknown = [NAN, NAN, NAN]
    expected = [
        [[0, NAN, 0], [5, 0, 0], [8, 30.5, 0], [12.5, 30.5, 0]],  # from foot to head
        [[0, 0, 0], [4.5, 0, 0], unknown, unknown],
    ]
    torch.testing.assert_close(found, torch.tensor(expected), equal_nan=True)


@pytest.mark.parametrize("kind", ["recurrent", "attention"])
def test_findings_depend_on_distances_and_not_on_the_order_of_the_files(kind: str, tmp_path: Path) -> None:
    config = tiny_config(findings={"present": THRESHOLDS}, sequence={"kind": kind, "width": 16}, volumes=VOLUMES)
    drafter = Drafter.from_checkpoint(tiny_checkpoint(config))

    def probabilities(order: Sequence[int], scale: float = 1.0) -> list[float | None]:
        report = drafter.draft(slices(tmp_path, order, scale), decoding=Decoding(method="greedy", max_tokens=2))
        return [finding.probability for finding in report.findings]

    expected = probabilities((0, 1, 2, 3))
    assert probabilities((3, 1, 0, 2)) == pytest.approx(expected, abs=1e-5)
    assert probabilities((0, 1, 2, 3), scale=4.0) != pytest.approx(expected, abs=1e-3)
