"""Describe the frames of a DICOM file: what each of them has beside the attributes of the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from pydicom import Dataset

from report_gen.imaging.acquisition import acquisition_of, begun_later, frame_seconds, image_type
from report_gen.imaging.planes import slice_plane
from report_gen.imaging.square_pixels import pixel_aspect, pixel_spacing, square_size, square_spacing
from report_gen.imaging.voi import header_window
from report_gen.records import Image


def frame_images(common: Image, headers: Iterable[Dataset], count: int) -> Iterator[Image]:
    """Yield the record of each frame. Frames that share a header differ in index and time only.

    Args:
        common: What is common to the frames of the file.
        headers: Attributes of each frame.
        count: Number of frames.
    """
    previous, described, seconds = None, common, None
    for frame, header in enumerate(headers):
        if header is not previous:
            previous, described = header, _described(common, header)
        if count == 1:
            yield described
            return
        is_enhanced = "SharedFunctionalGroupsSequence" in header  # its functional groups state times
        if frame == 0 and not is_enhanced:
            seconds = frame_seconds(header, count)
        acquisition = described.acquisition
        if seconds is not None:
            acquisition = begun_later(acquisition, seconds[frame])
        yield dataclasses.replace(described, frame=frame, acquisition=acquisition)


def _described(common: Image, header: Dataset) -> Image:
    rows, columns = square_size(int(header.Rows), int(header.Columns), pixel_aspect(header))
    found = slice_plane(header)
    return dataclasses.replace(
        common,
        rows=rows,
        columns=columns,
        pixel_spacing=square_spacing(pixel_spacing(header)),
        plane=found.plane,
        header_window=header_window(header) if found.plane is not None else None,
        plane_problem=found.problem,
        acquisition=acquisition_of(header),
        image_type=image_type(header),
    )
