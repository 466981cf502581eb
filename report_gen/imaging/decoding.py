"""Read and decode the stored values of one frame of a DICOM file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID, JPEGExtended12Bit, RLELossless

from report_gen.errors import StudyError, is_out_of_memory
from report_gen.imaging.codestream import CodedFormat, coded_format
from report_gen.imaging.fragments import ITEM, Fragments
from report_gen.imaging.gdcm import GdcmProcess
from report_gen.imaging.native_frames import read_native_frame
from report_gen.imaging.pixel_checks import PixelLocation

_PLUGINS = ("pylibjpeg", "pillow", "pyjpegls", "gdcm")
"""Decoder plugins of pydicom in the order in which they are tried. GDCM is last: it needs a separate process."""

_UNDEFINED_LENGTH = 0xFFFFFFFF


def read_pixel_data(dataset: Dataset, file: BinaryIO, location: PixelLocation, frame: int) -> None:
    """Read the pixels of one frame into the data set, as if the file had no other, no padding and nothing after them.

    Args:
        dataset: Attributes of the frame, with Number of Frames 1.
        file: The file that contains them.
        location: Where the pixels lie, from `check_pixels`.
        frame: Index of the frame.
    """
    tag = Tag(location.keyword)
    implicit, little = map(bool, dataset.original_encoding)
    if location.fragments is None:
        value = read_native_frame(dataset, file, location, frame)
        length = len(value)
    else:
        value, length = _encapsulated(file, location.fragments, frame), _UNDEFINED_LENGTH
    dataset[tag] = RawDataElement(tag, location.vr, length, value, location.start, implicit, little)


def _encapsulated(file: BinaryIO, fragments: Fragments, frame: int) -> bytes:
    """Return the fragments of one frame behind an empty offset table (PS3.5 A.4)."""
    parts = [ITEM + bytes(4)]
    for fragment in fragments.of(frame):
        file.seek(fragment.start)
        parts += [ITEM, fragment.size.to_bytes(4, "little"), file.read(fragment.size)]
    return b"".join(parts)


def decode(dataset: Dataset, path: Path, gdcm: GdcmProcess) -> tuple[NDArray[Any], int]:
    """Decode a frame.

    Args:
        dataset: Attributes that `check_pixels` accepted, and pixels of the frame from `read_pixel_data`.
        path: The file, named in errors.
        gdcm: Decodes what no other decoder does.

    Returns:
        The values [H,W], or [H,W,3] with YBR converted to RGB, each with all of its Bits Allocated; and the precision:
        the number of low bits that the decoder sets (the precision of the codestream, or Bits Allocated without one).

    Raises:
        StudyError: The pixels are malformed, or no installed decoder reads them.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    coded = None
    if syntax.is_encapsulated:
        coded = coded_format(get_frame(dataset.PixelData, 0, number_of_frames=1))
        if coded is not None and (coded.rows, coded.columns) != (dataset.Rows, dataset.Columns):
            raise StudyError(path, "malformed: header and compressed pixels differ in size; export the image again")
        if coded is not None and coded.samples != dataset.SamplesPerPixel:  # OpenJPEG would decode thousands of them
            raise StudyError(path, "malformed: header and compressed pixels differ in samples; export the image again")
    values = _first_success(dataset, syntax, path, gdcm)
    if values.shape[:2] != (dataset.Rows, dataset.Columns):
        raise StudyError(path, "malformed: header and pixels differ in size; export the image again")
    return values, _precision(dataset, coded)


def _precision(dataset: Dataset, coded: CodedFormat | None) -> int:
    return int(dataset.BitsAllocated) if coded is None else coded.precision


def _first_success(dataset: Dataset, syntax: UID, path: Path, gdcm: GdcmProcess) -> NDArray[Any]:
    """Return the pixels of the first decoder that does not fail."""
    failure: Exception | None = None
    for plugin in decoder_plugins(syntax, bits_stored=int(dataset.get("BitsStored") or 0)):
        try:
            if plugin == "gdcm":
                return gdcm.decode(dataset)
            return pixel_array(
                dataset,
                decoding_plugin=plugin,
                allow_excess_frames=False,
                correct_unused_bits=False,
                view_only=not syntax.is_encapsulated,
            )
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            if is_out_of_memory(error) or str(error).endswith(f"{plugin}: "):  # pydicom quotes a MemoryError as ""
                raise MemoryError from error
            failure = error
    others = "; ".join(get_decoder(syntax).missing_dependencies) or "none"
    reason = f"the pixels ({syntax.name}) are malformed, or need a decoder that is not installed ({others})"
    raise StudyError(path, reason) from failure


def decoder_plugins(syntax: UID, *, bits_stored: int) -> tuple[str, ...]:
    """Return the names of the decoder plugins of pydicom that may decode a transfer syntax, in order.

    Args:
        syntax: Transfer syntax of the pixels.
        bits_stored: Bits Stored (0028,0101).

    Returns:
        Names of installed plugins; one empty name for pixels that are not compressed.
    """
    if not syntax.is_encapsulated:
        return ("",)
    if syntax == RLELossless:  # the faster pylibjpeg-rle panics on damaged data: not an Exception
        return ("pydicom",)
    if syntax == JPEGExtended12Bit and bits_stored > 8:  # Pillow has a libjpeg of 8 bits only
        return ("gdcm",)
    available = get_decoder(syntax).available_plugins
    return tuple(plugin for plugin in _PLUGINS if plugin in available)
