"""Load the values of a stack slice by slice, when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging.loading import load_many
from report_gen.imaging.volumes.slice_stack import SliceStack
from report_gen.records import Image

Values = NDArray[np.float32]

LoadImages = Callable[[Iterable[Image]], Iterator[Values]]
"""A function that yields the values [H,W] of images in their order, such as `report_gen.imaging.load_many`: Hounsfield
units for CT, on the stored grid, NaN where a pixel is padding."""

Progress = Callable[[int], None]
"""A function that is called with the number of slices that are done. An error that it raises ends the work."""


def open_volume(stack: SliceStack) -> Volume:
    """Return the volume of a stack whose values are read from its files.

    The values of a stack that is displayed (`SliceStack.is_displayed`) are intensities in 0..1.
    """
    return Volume(stack, partial(load_many, display=stack.is_displayed))


def no_progress(done: int) -> None:
    """Let the work go on without a report."""


class Volume:
    """The values of the slices of a stack. They are read from the files each time they are asked for.

    Args:
        stack: The slices, S of them.
        load: Loads the values of images.
    """

    def __init__(self, stack: SliceStack, load: LoadImages) -> None:
        self.stack = stack
        self._load = load

    def __len__(self) -> int:
        return len(self.stack.images)

    def slices(self, indices: Sequence[int] | None = None, *, progress: Progress = no_progress) -> Iterator[Values]:
        """Yield the values [H,W] of slices one after the other. The memory is that of one slice.

        Args:
            indices: Indices of the slices, from 0 to S - 1, in any order; by default all.
            progress: Called after each slice.

        Raises:
            IndexError: There is no such slice.
            StudyError: A file cannot be read, or its size is not that of the other slices.
        """
        chosen = range(len(self)) if indices is None else indices
        if any(not 0 <= index < len(self) for index in chosen):
            raise IndexError(f"the stack has {len(self)} slices, and not all indices are from 0 to {len(self) - 1}")
        images = [self.stack.images[index] for index in chosen]
        shape: tuple[int, ...] | None = None
        for done, (image, values) in enumerate(zip(images, self._load(images), strict=True), start=1):
            shape = shape or values.shape
            if values.shape != shape:
                rows, columns = shape
                reason = f"has {values.shape[0]} x {values.shape[1]} pixels, and other slices of its stack {rows} x "
                raise StudyError(image.path, f"{reason}{columns}; export the series again")
            yield values
            progress(done)

    def values(self, indices: Sequence[int] | None = None, *, progress: Progress = no_progress) -> Values:
        """Return the values [S,H,W] of slices, in the order of the indices; see `slices`. By default, all of them."""
        number = len(self if indices is None else indices)
        loaded = np.zeros((0, 0, 0), dtype=np.float32)
        for index, values in enumerate(self.slices(indices, progress=progress)):
            if index == 0:
                loaded = np.empty((number, *values.shape), dtype=np.float32)
            loaded[index] = values
        return loaded
