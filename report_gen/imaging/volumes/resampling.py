"""Resample a stack to cubic voxels, slice by slice."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging.memory import format_bytes, memory_limit
from report_gen.imaging.slice_geometry import Floats, stack_direction
from report_gen.imaging.volumes.interpolation import interpolation_matrix
from report_gen.imaging.volumes.slice_stack import SliceStack
from report_gen.imaging.volumes.volume import Progress, Values, Volume, no_progress
from report_gen.records import SlicePlane

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_COVERED = 0.5
"""Least weight of pixels with a value for a voxel with a value. The others are NaN, so that padding does not grow."""
_ROUNDING = 1e-2
"""Largest distance of the last voxel beyond the last pixel, in voxels: headers round positions."""


@dataclass(frozen=True, eq=False)
class ResampledVolume:
    """A volume of cubic voxels with perpendicular axes."""

    values: Values
    """[S,H,W], in the units of the stack; NaN where no slice has a value."""
    affine: NDArray[np.float64]
    """[4,4] from the voxel index (column, row, slice, 1) to patient coordinates (LPS), millimeters."""


def resample_isotropic(volume: Volume, spacing: float = 1.0, *, progress: Progress = no_progress) -> ResampledVolume:
    """Resample a volume to cubic voxels by linear interpolation, with averaging where the voxels are coarser.

    The axes are the rows and columns of the slices and their normal, so a tilt is corrected: each slice has its own
    place within the plane, and the field contains all of them. Missing slices are interpolated between their neighbors.
    The first voxel is at the first pixel of the first slice, if no slice is displaced.

    Memory is needed for the result and a few slices.

    Args:
        volume: A volume with positions, of two slices or more.
        spacing: Side of a voxel, millimeters.
        progress: Called with the number of slices that were read.

    Raises:
        StudyError: The stack is no volume, its result needs too much memory, or a file cannot be read.
        ValueError: The spacing is not a length.
    """
    grid = plan_grid(volume.stack, next(volume.slices([0])).shape, spacing)
    need = 4 * math.prod(grid.shape)
    if need > memory_limit():
        reason = f"not enough memory: {' x '.join(map(str, grid.shape))} voxels of {spacing:g} mm need "
        reason += f"{format_bytes(need)}, and one image may take {format_bytes(memory_limit())}"
        raise StudyError(volume.stack.images[0].path, f"{reason}; choose larger voxels, or free memory")
    values = np.empty(grid.shape, dtype=np.float32)
    for index, plane in enumerate(resampled_slices(volume, grid, progress=progress)):
        values[index] = plane
    return ResampledVolume(values, grid.affine)


@dataclass(frozen=True, eq=False)
class IsotropicGrid:
    """The voxels to which a stack is resampled."""

    shape: tuple[int, int, int]
    """Slices, rows, columns."""
    affine: NDArray[np.float64]
    """[4,4], see `ResampledVolume`."""
    spacing: float
    """Side of a voxel, millimeters."""
    corners: Floats
    """[S,3], first pixel of each slice of the stack along rows, columns and slices, millimeters after the first voxel.
    """
    pixel_spacing: tuple[float, float]
    """Distance between the rows and between the columns of the stack, millimeters."""


def plan_grid(stack: SliceStack, shape: tuple[int, ...], spacing: float) -> IsotropicGrid:
    """Return the cubic voxels that contain all slices of a stack.

    Args:
        stack: The slices.
        shape: Rows and columns of a slice.
        spacing: Side of a voxel, millimeters.

    Raises:
        StudyError: The stack is no volume.
        ValueError: The spacing is not a length.
    """
    if not 0 < spacing < math.inf:
        raise ValueError(f"spacing {spacing} is not a length; give millimeters above 0")
    planes = [image.plane for image in stack.images if image.plane is not None]
    if stack.spacing is None or not planes:
        why = stack.notices[0] if stack.notices else "its images have no position"
        raise StudyError(stack.images[0].path, f"the images are not a volume: {why}; use the slices as they are")
    axes = _axes(planes[0])
    corners = np.array([plane.position for plane in planes]) @ axes
    first = corners.min(axis=0)
    rows, columns = planes[0].spacing
    extent = corners.max(axis=0) - first + ((shape[1] - 1) * columns, (shape[0] - 1) * rows, 0)
    across, down, slices = (int(length / spacing + _ROUNDING) + 1 for length in extent)
    affine = np.eye(4)
    affine[:3, :3] = axes * spacing
    affine[:3, 3] = axes @ first
    return IsotropicGrid((slices, down, across), affine, spacing, corners - first, (rows, columns))


def resampled_slices(volume: Volume, grid: IsotropicGrid, *, progress: Progress = no_progress) -> Iterator[Values]:
    """Yield the slices [H,W] of a resampled volume one after the other.

    Args:
        volume: The volume.
        grid: Its grid, from `plan_grid`.
        progress: Called with the number of slices that were read.
    """
    heights = grid.corners[:, 2]
    along = interpolation_matrix(
        heights, _places(grid.spacing, grid.shape[0]), spacing=grid.spacing, margin=_ROUNDING * grid.spacing
    )
    read = enumerate(volume.slices(progress=progress))
    planes: dict[int, tuple[Values, Values]] = {}
    for number in range(grid.shape[0]):
        begin, end = along.indptr[number], along.indptr[number + 1]
        weights = dict(zip(along.indices[begin:end].tolist(), along.data[begin:end].tolist(), strict=True))
        needed = {index for index, weight in weights.items() if weight > 0}
        while not needed <= planes.keys():
            index, values = next(read)
            if index >= min(needed):
                planes[index] = _within_plane(values, grid, index)
        for index in [index for index in planes if index < min(needed)]:
            del planes[index]
        yield _weighted([(planes[index], weights[index]) for index in sorted(needed)])


def _axes(plane: SlicePlane) -> Floats:
    """Return the directions of rows, columns and slices as the columns of a matrix [3,3]."""
    normal = stack_direction(np.array(plane.normal))
    return np.array([plane.row_direction, plane.column_direction, normal]).T


def _within_plane(values: Values, grid: IsotropicGrid, index: int) -> tuple[Values, Values]:
    """Return a slice on the rows and columns of the grid, 0 for pixels without value, and the weight of the others."""
    (across, down), (rows, columns) = grid.corners[index, :2], grid.pixel_spacing
    vertical = _matrix(values.shape[0], rows, down, grid.shape[1], grid.spacing)
    horizontal = _matrix(values.shape[1], columns, across, grid.shape[2], grid.spacing)
    is_value = np.isfinite(values)
    if is_value.all():
        weights = np.outer(vertical.sum(axis=1), horizontal.sum(axis=1))
        return _apply(vertical, values, horizontal), weights.astype(np.float32)
    known = np.where(is_value, values, np.float32(0))
    return _apply(vertical, known, horizontal), _apply(vertical, is_value.astype(np.float32), horizontal)


def _matrix(number: int, distance: float, first: float, results: int, spacing: float) -> csr_array:
    """Return the matrix that interpolates the pixels along one axis of a slice."""
    nodes = first + _places(distance, number)
    return interpolation_matrix(nodes, _places(spacing, results), spacing=spacing, margin=distance / 2)


def _places(distance: float, number: int) -> Floats:
    return np.arange(number, dtype=np.float64) * distance


def _apply(vertical: csr_array, values: Values, horizontal: csr_array) -> Values:
    return np.asarray((horizontal @ (vertical @ values).T).T, dtype=np.float32)


def _weighted(planes: list[tuple[tuple[Values, Values], float]]) -> Values:
    """Return the weighted mean of slices [H,W]; NaN where the weight of pixels with a value is too small."""
    total = np.zeros_like(planes[0][0][0])
    covered = np.zeros_like(total)
    for (values, weights), share in planes:
        total += np.float32(share) * values
        covered += np.float32(share) * weights
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(covered >= _COVERED, total / covered, np.float32(np.nan))
