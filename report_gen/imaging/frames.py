"""Read the frames of an open DICOM file, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.pixels.utils import get_expected_length

from report_gen.errors import StudyError
from report_gen.imaging.bounded_file import BoundedFile
from report_gen.imaging.color import luma, palette_luma
from report_gen.imaging.decoding import decode, read_pixel_data
from report_gen.imaging.dicom_file import read_with_groups
from report_gen.imaging.functional_groups import promote_groups, promote_shared_groups
from report_gen.imaging.gdcm import GdcmProcess
from report_gen.imaging.grayscale import to_grayscale, to_values
from report_gen.imaging.header import HEADER_KEYWORDS
from report_gen.imaging.limits import check_pixel_count
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.memory import image_memory
from report_gen.imaging.memory_need import dicom_memory
from report_gen.imaging.nuclear import NuclearFrames
from report_gen.imaging.pixel_checks import check_pixels, frame_count
from report_gen.imaging.shutter import shutter_intensity, visible_pixels
from report_gen.imaging.square_pixels import pixel_aspect, resample_to_square, square_size


class DicomFrames:
    """The frames of an open DICOM file. The header is read and checked once, the pixels of a frame when it is loaded.

    It is used within `raise_study_errors`, because pydicom parses an attribute on first access.

    Args:
        file: The file, which `open_dicom` opened.
        path: Its path, named in errors.
        gdcm: Decodes what no other decoder does.
        check: Called with the first attributes, see `read_with_groups`.

    Raises:
        StudyError: The header contradicts itself or the pixels, or the pixels are truncated or not supported.
    """

    def __init__(
        self, file: BoundedFile, path: Path, gdcm: GdcmProcess, *, check: Callable[[FileDataset], None] | None = None
    ) -> None:
        self._file, self._path, self._gdcm = file, path, gdcm
        self._dataset, self._groups = read_with_groups(file, HEADER_KEYWORDS, check=check)
        promote_shared_groups(self._dataset)
        # Rows, bits and transfer syntax are those of all frames, and so are the window and the rescale of most files.
        self._location = check_pixels(self._dataset, file, path)
        self.count = frame_count(self._dataset, path)
        """Number of frames."""
        self._nuclear = NuclearFrames(self._dataset, self.count)
        if 0 < len(self._groups) < self.count:
            reason = f"malformed: {self.count} frames, but functional groups of {len(self._groups)}; export it again"
            raise StudyError(path, reason)

    def headers(self) -> Iterator[Dataset]:
        """Yield the attributes of each frame; see `header`. Frames without attributes of their own share the object."""
        if not self._groups and not self._nuclear:
            yield from repeat(self.header(0), self.count)
        else:
            yield from map(self.header, range(self.count))

    def header(self, frame: int) -> Dataset:
        """Return the attributes of a frame: those of the file, and those of its functional groups at the top."""
        header = Dataset(dict(self._dataset.items()))
        header.file_meta = self._dataset.file_meta
        implicit, little = map(bool, self._dataset.original_encoding)
        header.set_original_encoding(implicit, little, self._dataset.original_character_set)
        promote_groups(header, self._groups.read(frame))
        self._nuclear.promote(header, frame)
        header.NumberOfFrames = 1
        check_pixel_count(*square_size(header.Rows, header.Columns, pixel_aspect(header)), self._path)
        return header

    def image(self, frame: int | None) -> LoadedImage:
        """Return the display intensities after modality, VOI and presentation LUT, shutter and resampling.

        Color becomes luma. The pixels are square. Only the pixels of this frame are read and decoded.

        Args:
            frame: Index of the frame; None for the only frame.

        Raises:
            StudyError: There is no such frame, its pixels cannot be decoded, or the memory does not suffice.
        """
        with self._loaded(frame) as (header, stored, precision):
            aspect = pixel_aspect(header)
            visible = visible_pixels(header, aspect)
            image = _display(stored, header, self._path, precision, visible)
            pixels = image.pixels
            if visible is not None:
                pixels = np.where(visible, pixels, np.float32(shutter_intensity(header)))
            return LoadedImage(resample_to_square(pixels, aspect), image.notices)

    def values(self, frame: int | None) -> NDArray[np.float32]:
        """Return the values [H,W] after the modality LUT, as they are stored; see `load_values`.

        Args:
            frame: Index of the frame; None for the only frame.

        Raises:
            StudyError: See `image`.
        """
        with self._loaded(frame) as (header, stored, precision):
            if header.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2"):
                return to_values(stored, header, self._path, precision=precision)
            return _color_luma(stored, header, precision)

    @contextmanager
    def _loaded(self, frame: int | None) -> Iterator[tuple[Dataset, NDArray[Any], int]]:
        """Yield the attributes, the stored values and the precision of a frame within its memory limit."""
        index = self._index(frame)
        header = self.header(index)
        fragments = self._location.fragments
        size = fragments.size(index) if fragments else get_expected_length(header)
        need = dicom_memory(header, size, pixel_aspect(header))
        with image_memory(self._path, header.Rows, header.Columns, need):
            read_pixel_data(header, self._file, self._location, index)
            yield header, *decode(header, self._path, self._gdcm)

    def _index(self, frame: int | None) -> int:
        if frame is None and self.count > 1:
            reason = f"has {self.count} frames, and one image is expected; export each frame as a file"
            raise StudyError(self._path, reason)
        if not 0 <= (frame or 0) < self.count:
            raise StudyError(self._path, f"has {self.count} frames, but not frame {frame}; read the study again")
        return frame or 0


def _display(
    stored: NDArray[Any], header: Dataset, path: Path, precision: int, visible: NDArray[np.bool_] | None
) -> LoadedImage:
    """Return the display intensities of the pixels as they are stored."""
    if header.PhotometricInterpretation in ("MONOCHROME1", "MONOCHROME2"):
        return to_grayscale(stored, header, path, precision=precision, visible=visible)
    return LoadedImage(_color_luma(stored, header, precision))


def _color_luma(stored: NDArray[Any], header: Dataset, precision: int) -> NDArray[np.float32]:
    if header.PhotometricInterpretation == "PALETTE COLOR":
        return palette_luma(stored, header, precision)
    return luma(stored, header, precision)
