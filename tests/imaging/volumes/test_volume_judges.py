"""The table of `python -m tests.volume_judges`: where a judge differs, and that it agrees everywhere else."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from report_gen.imaging import load_many, read_study
from report_gen.imaging.volumes import find_stacks
from tests.slice_files import RAS, simpleitk_volume
from tests.volume_files import slices
from tests.volume_judges import SERIES, Difference, compare, judge_series, table, write_real

AGREES = "agrees"
OTHERS = {
    # Both stack the duplicate as a slice of its own.
    "a duplicate": ("10 x 12 x 13 voxels", "10 x 12 x 13 voxels"),
    # One affine cannot express the gap of 7.5 mm: SimpleITK takes the mean of 2.5 mm, and dcm2niix ignores the gap.
    "a gap of two slices": (4 * (27.5 / 9 - 2.5), 5.0),
    # dcm2niix leaves out the displacement of the first slices against the last, which it corrects in a file of its own.
    "tilted gantry": (AGREES, None),
    # Both keep the order of the frames in the file.
    "multi-frame, shuffled, a rescale of each frame": (None, None),
}
"""Distance from SimpleITK and from dcm2niix, millimeters, or why the volumes cannot be compared. None: they differ."""


@pytest.mark.parametrize("name", SERIES)
def test_judges_agree_unless_the_reason_is_known(tmp_path: Path, name: str) -> None:
    SERIES[name](tmp_path / "series")
    _, *found = judge_series(tmp_path / "series")
    for judged, expected in zip(found, OTHERS.get(name, (AGREES, AGREES)), strict=True):
        if isinstance(expected, str) and expected != AGREES:
            assert judged == expected
            continue
        assert isinstance(judged, Difference)
        assert judged.angle < 1e-4
        if expected is None:
            assert max(judged.value, judged.place) > 0.5
        else:
            distance = 0 if expected == AGREES else expected
            assert (judged.value, judged.place) == (0, pytest.approx(distance, abs=1e-4))


def test_shuffled_frames_have_the_values_and_places_that_were_written(tmp_path: Path) -> None:
    """The one series in which both judges differ: frame n shows slice order[n], with its slope and intercept."""
    SERIES["multi-frame, shuffled, a rescale of each frame"](tmp_path / "series")
    (stack,) = find_stacks(read_study(tmp_path / "series")).stacks
    order = np.random.default_rng(2).permutation(12)
    expected = np.empty((12, 40, 36))
    for frame, number in enumerate(order):
        expected[number] = slices(12)[number] * (1 + frame / 4) - 1000 + frame
    np.testing.assert_allclose(np.stack(list(load_many(stack.images))), expected)
    np.testing.assert_allclose(stack.positions, -30 + 2.5 * np.arange(12))


def test_a_difference_of_values_and_of_places_is_measured(tmp_path: Path) -> None:
    SERIES["shuffled instance numbers"](tmp_path / "series")
    (stack,) = find_stacks(read_study(tmp_path / "series")).stacks
    judge = simpleitk_volume(tmp_path / "series")
    judge.values[3, 4, 5] += 7
    judge.affine[:3, 3] += (3, 0, 4)
    found = compare(stack, judge)
    assert isinstance(found, Difference)
    assert (found.value, found.place) == (7, pytest.approx(5))


def test_a_nifti_file_is_written_as_slices_at_its_places(tmp_path: Path) -> None:
    """A volume that is stored from the left to the right, with the front first."""
    affine = np.array([[-2.0, 0, 0, 50], [0, -1.5, 0, 40], [0, 0, 3, -20], [0, 0, 0, 1]])
    values = slices(5, 4, 3).T.astype(np.int16)
    nibabel.Nifti1Image(values, affine).to_filename(tmp_path / "a.nii.gz")
    write_real(tmp_path / "a.nii.gz", tmp_path / "series")
    (stack,) = find_stacks(read_study(tmp_path / "series")).stacks
    assert stack.affine is not None
    np.testing.assert_allclose(stack.affine, RAS @ affine, atol=1e-6)
    np.testing.assert_array_equal(np.stack(list(load_many(stack.images))), values.T)
    *_, line = table(str(tmp_path / "a.nii.gz"))
    assert line.startswith("| a.nii.gz | 5 | 0 | 0 | 0 | 0 |")
