"""The V views of a stack that an image encoder gets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from report_gen.imaging import load_many, load_pixels, read_study
from report_gen.imaging.volumes import CT_WINDOWS, Volume, apply_windows, find_stacks, open_volume, stack_views
from report_gen.records import Image, Vector
from tests.dicom_files import write_dicom
from tests.slice_files import AXIAL, CORONAL, SAGITTAL, slice_image, slices_at, study_of, write_slices


def test_views_are_the_windowed_values_of_the_chosen_slices(tmp_path: Path) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(20)], BodyPartExamined="CHEST")
    (stack,) = find_stacks(read_study(tmp_path)).stacks
    views = stack_views(open_volume(stack), 5, sampling="even")
    assert views.indices == (0, 4, 9, 14, 19)
    assert [window.name for window in views.windows] == ["lung", "mediastinum", "bone"]
    assert (views.intensities.shape, views.intensities.dtype) == ((5, 3, 12, 10), np.float32)
    values = np.stack(list(load_many(stack.images)))[[0, 4, 9, 14, 19]]
    expected = apply_windows(values, [CT_WINDOWS[name] for name in ("lung", "mediastinum", "bone")])
    np.testing.assert_array_equal(views.intensities, expected.swapaxes(0, 1))


def test_views_by_content_leave_out_empty_slices(tmp_path: Path) -> None:
    def pixels(number: int) -> NDArray[np.int16]:
        if number < 6 or number > 15:
            return np.full((12, 10), -1000, dtype=np.int16)
        return np.random.default_rng(number).integers(-1000, 1000, (12, 10)).astype(np.int16)

    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(20)], BodyPartExamined="CHEST", pixels=pixels)
    (stack,) = find_stacks(read_study(tmp_path)).stacks
    assert stack_views(open_volume(stack), 5).indices == (6, 8, 10, 12, 14)
    assert stack_views(open_volume(stack), 20).indices == tuple(range(20))  # all are shown


def test_contents_of_a_long_stack_are_interpolated() -> None:
    loaded: list[int | None] = []

    def load(images: Iterable[Image]) -> Iterator[NDArray[np.float32]]:
        for image in images:
            number = image.instance_number or 0
            loaded.append(number)
            shown = np.random.default_rng(number).integers(-1000, 1000, (8, 8))
            yield np.where(100 < number <= 300, shown, -1000).astype(np.float32)

    (stack,) = find_stacks(study_of(slices_at(range(400)), body_part="CHEST")).stacks
    done: list[int] = []
    indices = stack_views(Volume(stack, load), 10, progress=done.append).indices
    assert done == list(range(1, 11))
    assert len(loaded) == 1 + 128 + 10  # the first one for the check of Hounsfield units
    np.testing.assert_allclose(indices, np.arange(110, 300, 20), atol=4)


@pytest.mark.parametrize(
    ("directions", "code"),
    [
        (AXIAL, "LPS"),
        (((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)), "LPS"),  # NIfTI: to the right and to the front
        (((0.0, -1.0, 0.0), (1.0, 0.0, 0.0)), "LPS"),
        (((0.96, 0.28, 0.0), (-0.28, 0.96, 0.0)), "LPS"),
        (CORONAL, "LIP"),
        (((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0)), "LIP"),
        (SAGITTAL, "PIL"),
        (((0.0, -1.0, 0.0), (0.0, 0.0, 1.0)), "PIL"),
    ],
)
def test_slices_are_turned_as_simpleitk_turns_them(directions: tuple[Vector, Vector], code: str) -> None:
    images = [
        slice_image(number, 3 * number * np.cross(*directions), directions, rows=8, columns=6) for number in range(4)
    ]

    def load(images: Iterable[Image]) -> Iterator[NDArray[np.float32]]:
        for image in images:
            yield np.random.default_rng(image.instance_number).uniform(0, 1, (8, 6)).astype(np.float32)

    (stack,) = find_stacks(study_of(images, modality="MR")).stacks
    views = stack_views(Volume(stack, load), 4)
    image = SimpleITK.GetImageFromArray(np.stack(list(load(stack.images))))
    assert stack.affine is not None
    lengths = np.linalg.norm(stack.affine[:3, :3], axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((stack.affine[:3, :3] / lengths).ravel().tolist())
    turned = SimpleITK.DICOMOrient(image, code)
    expected = apply_windows(SimpleITK.GetArrayFromImage(turned), views.windows)[0]
    np.testing.assert_array_equal(views.intensities[:, 0], expected)
    assert views.spacing == pytest.approx(turned.GetSpacing()[1::-1])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_cine_is_shown_as_its_header_says(tmp_path: Path, photometric: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (6, 9, 7)).astype(np.uint8)
    path = write_dicom(
        tmp_path / "cine.dcm",
        frames[0],
        SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1",
        Modality="XA",
        NumberOfFrames=6,
        PixelData=frames.tobytes(),
        PhotometricInterpretation=photometric,
        FrameTime=40,
    )
    (stack,) = find_stacks(read_study(path)).stacks
    np.testing.assert_allclose(stack.times, np.arange(6) * 0.04)
    views = stack_views(open_volume(stack), 3, sampling="even")
    expected = [load_pixels(stack.images[index]) for index in (0, 2, 5)]
    np.testing.assert_allclose(views.intensities[:, 0], expected, atol=1e-6)
