"""Limits on the size of an image, checked before any pixel is decoded."""

from __future__ import annotations

from pathlib import Path

from report_gen.errors import StudyError

MAX_PIXELS = 64 * 2**20
"""Largest number of pixels in one image. A chest radiograph has 8 to 16 million."""

MAX_FRAMES = 2**15
"""Largest number of frames of a DICOM file. An enhanced MR of diffusion or function has some 10,000."""

MAX_SLICES = 2**17
"""Largest number of slices of a NIfTI file. Functional MR of an hour has some 100,000."""

MAX_INFLATED_BYTES = 4 * MAX_PIXELS
"""Largest size of a deflated data set after inflation. The largest image of 16 bits takes half of it."""

MAX_VOLUME_BYTES = 2**33
"""Largest compressed NIfTI file after inflation. Functional MR of an hour takes half of it."""

MAX_VALUE = 1e18
"""Largest magnitude of a pixel value after the rescale of the header. The square of a larger one overflows in single
precision. Values with a unit, such as Hounsfield units or Bq/ml, are far smaller."""

MAX_PICTURE_BYTES = 8 * MAX_PIXELS
"""Largest PNG, JPEG, TIFF or WebP file: the largest image with four samples of 16 bits, not compressed."""


def check_pixel_count(rows: int, columns: int, path: Path) -> None:
    """Refuse an image that is larger than `MAX_PIXELS`.

    Raises:
        StudyError: The image has more pixels.
    """
    if rows * columns > MAX_PIXELS:
        raise StudyError(path, f"{rows} x {columns} pixels exceed the limit of {MAX_PIXELS}; export a smaller image")


def too_large_values(path: Path, attributes: str) -> StudyError:
    """Return the error of an image that has values beyond `MAX_VALUE`.

    Args:
        path: The file.
        attributes: Names of the attributes of its header that scale the values.
    """
    reason = f"malformed: {attributes} give pixel values beyond {MAX_VALUE:g}; correct them or export the image again"
    return StudyError(path, reason)
