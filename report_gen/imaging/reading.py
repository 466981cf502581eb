"""Read studies from files and folders, and load the pixels of their images.

The format of a file is recognized by its content, not by its name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import NotAnImageError, StudyError
from report_gen.files import unique_names
from report_gen.imaging.dicom import describe_dicom, read_dicom_image
from report_gen.imaging.dicom_file import is_dicom
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.raster import describe_raster, is_raster, read_raster_image
from report_gen.records import Image, Series, Study

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
"""A file with such a name that is not an image is reported as broken, not as another kind of file."""

SIDECAR_SUFFIXES = frozenset({".txt", ".json", ".csv", ".md", ".xml", ".toml", ".html", ".pdf"})
"""Files with such names are ignored if they are not images and images were found."""

_HEAD_BYTES = 132
"""Length of the DICOM preamble and prefix, enough to recognize every format."""
_FORMATS = "DICOM, PNG, JPEG, TIFF or WebP"
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class StudyCollection:
    """The studies of a folder, and an error for each file or study that could not be read."""

    studies: tuple[Study, ...]
    refused: tuple[StudyError, ...]


def read_study(path: str | os.PathLike[str]) -> Study:
    """Read the study in a file, or the only study in a folder.

    DICOM objects without pixels are ignored if they lie beside images.

    Args:
        path: A DICOM, PNG, JPEG, TIFF or WebP file, or a folder of such files.

    Returns:
        The record of the study. Its pixels are read later, by `load_pixels`.

    Raises:
        StudyError: The file is not a readable image, or the folder contains no study, several, or a broken file.
    """
    path = Path(path)
    if not _is_folder(path):
        return _read_file(path)
    found = read_studies(path)
    broken = [error for error in found.refused if not isinstance(error, NotAnImageError)]
    if broken:
        raise broken[0]
    if not found.studies:
        raise StudyError(path, f"no images found; give a folder with {_FORMATS} files (links are not followed)")
    if len(found.studies) > 1:
        raise StudyError(path, f"contains {len(found.studies)} studies; give the folder of one, or use read_studies")
    return found.studies[0]


def read_studies(path: str | os.PathLike[str]) -> StudyCollection:
    """Read every study at or below a path. A file that cannot be read does not stop the others.

    DICOM files are grouped by Study Instance UID, other images by folder. Hidden files, DICOMDIR, symbolic links and
    devices are ignored.

    Args:
        path: A DICOM, PNG, JPEG, TIFF or WebP file, or a folder.

    Returns:
        The studies, each with a name of its own, and the errors of the files and studies that were refused.
    """
    path = Path(path)
    if not _is_folder(path):
        studies, refused = _collect(_read_file, [path])
        return StudyCollection(tuple(studies), tuple(refused))
    unreadable: list[StudyError] = []
    files = list(_walk(path, unreadable))
    singles, refused = _collect(_read_file, files)
    studies, conflicts = _collect(_merge, _group(singles))
    studies.sort(key=lambda study: (study.study_instance_uid or "", study.images[0].path))
    names = unique_names(study.name for study in studies)
    named = tuple(dataclasses.replace(study, name=name) for study, name in zip(studies, names, strict=True))
    if not files and not unreadable:
        unreadable.append(NotAnImageError(path, f"no images found; give a folder with {_FORMATS} files"))
    if singles:
        refused = [error for error in refused if not _is_sidecar(error)]
    return StudyCollection(named, (*unreadable, *refused, *conflicts))


def load_pixels(image: Image) -> NDArray[np.float32]:
    """Load the display intensities of an image.

    Args:
        image: An image of a study that `read_study` or `read_studies` returned.

    Returns:
        Intensities [H,W] in 0..1, 0 = black, C-contiguous; zeros if the image is uniform. The pixels are square.

    Raises:
        StudyError: The pixels are truncated, malformed or not supported.
    """
    return load_image(image).pixels


def load_image(image: Image) -> LoadedImage:
    """Load the display intensities of an image, as `load_pixels` does, and the notices that belong to them."""
    return _read_image(image.path)


def read_pixels(path: Path) -> NDArray[np.float32]:
    """Load the display intensities of a file without its record; see `load_pixels`."""
    return _read_image(path).pixels


def _read_image(path: Path) -> LoadedImage:
    read = read_dicom_image if is_dicom(_head(path)) else read_raster_image
    image = read(path)
    pixels = np.ascontiguousarray(image.pixels, dtype=np.float32)
    if pixels.min() == pixels.max():
        pixels = np.zeros_like(pixels)
    return LoadedImage(pixels, image.notices)


def _read_file(path: Path) -> Study:
    """Read one file as a study of one image, named after the file."""
    head = _head(path)
    if is_dicom(head):
        return describe_dicom(path, _sha256(path))
    if is_raster(head):
        return Study(name=path.stem, series=(Series(images=(describe_raster(path, _sha256(path)),)),))
    if not head:
        raise StudyError(path, "the file is empty; copy or export it again")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise StudyError(path, f"has the name of an image but is not one; give a {_FORMATS} file")
    raise NotAnImageError(path, f"is not an image; give a {_FORMATS} file")


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises if a parent folder may not be entered


def _head(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise StudyError(path, "is not a regular file; give a file or a folder")
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except (FileNotFoundError, ValueError) as error:
        raise StudyError(path, "does not exist; check the path") from error
    except OSError as error:
        raise StudyError(path, f"cannot be read ({error.strerror}); check its permissions") from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StudyError(path, f"cannot be read ({error.strerror}); check the disk") from error


def _walk(root: Path, unreadable: list[StudyError]) -> Iterator[Path]:
    """Yield regular files in path order. A link is skipped: its target is found itself if it lies below the root."""

    def report(error: OSError) -> None:
        reason = f"cannot be read ({error.strerror}); check its permissions"
        unreadable.append(StudyError(Path(error.filename), reason))

    for folder, subfolders, names in os.walk(root, onerror=report):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and name != "DICOMDIR" and _is_regular(file):
                yield file


def _is_regular(file: Path) -> bool:
    """Return False for links, pipes and devices. If the type is unknown, return True: reading will give the error."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return True


def _collect(function: Callable[[_A], _B], arguments: Iterable[_A]) -> tuple[list[_B], list[StudyError]]:
    """Call a function with each argument. Return the results and the errors."""
    results: list[_B] = []
    refused: list[StudyError] = []
    for argument in arguments:
        try:
            results.append(function(argument))
        except StudyError as error:
            refused.append(error)
    return results, refused


def _is_sidecar(error: StudyError) -> bool:
    return isinstance(error, NotAnImageError) and error.path.suffix.lower() in SIDECAR_SUFFIXES


def _group(singles: list[Study]) -> list[list[Study]]:
    """Group studies of one file each: DICOM by Study Instance UID, other images by folder, the rest alone."""
    groups: dict[tuple[str, object], list[Study]] = defaultdict(list)
    for single in singles:
        path = single.images[0].path
        if single.study_instance_uid:
            groups["study", single.study_instance_uid].append(single)
        elif not is_dicom(_head(path)):
            groups["folder", path.parent].append(single)
        else:
            groups["file", path].append(single)
    return list(groups.values())


def _merge(singles: list[Study]) -> Study:
    """Merge studies of one file each into one study, with series and images in the order of their numbers."""
    first = singles[0]
    path = first.images[0].path
    if len({single.patient_id for single in singles if single.patient_id}) > 1:
        raise StudyError(path.parent, "two patients share one Study Instance UID; separate their files")
    by_series: dict[str | None, list[Series]] = defaultdict(list)
    for single in singles:
        by_series[single.series[0].series_instance_uid].append(single.series[0])
    ordered = sorted(by_series.values(), key=lambda group: (_number(group[0].series_number), group[0].images[0].path))
    series = tuple(dataclasses.replace(group[0], images=_distinct(group)) for group in ordered)
    name = first.study_instance_uid or (first.name if is_dicom(_head(path)) else path.parent.resolve().name)
    return dataclasses.replace(first, name=name, series=series)


def _distinct(group: list[Series]) -> tuple[Image, ...]:
    """Return the images of one series in order, without copies of the same file."""
    images: dict[str, Image] = {}
    for image in (series.images[0] for series in group):
        known = images.setdefault(image.sop_instance_uid or str(image.path), image)
        if known.sha256 != image.sha256:
            raise StudyError(image.path, f"has the SOP Instance UID of {known.path.name}; keep one of the two files")
    return tuple(sorted(images.values(), key=lambda image: (_number(image.instance_number), image.path)))


def _number(value: int | None) -> float:
    """Return a sort key that puts a missing number last."""
    return float("inf") if value is None else value
