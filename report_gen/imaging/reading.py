"""Read studies from files and folders, and load the pixels of their images.

The format of a file is recognized by its content, not by its name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import NotAnImageError, StudyError, without_traceback
from report_gen.files import unique_names
from report_gen.imaging.dicom import describe_dicom, read_dicom_image
from report_gen.imaging.dicom_file import is_dicom
from report_gen.imaging.discovery import FoundFiles, find_files
from report_gen.imaging.grouping import PictureFolder, group_dicom, group_pictures, join_pictures, merge_files
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.raster import describe_raster, is_raster, read_raster_image
from report_gen.imaging.reading_notices import (
    describe_links,
    describe_passed_over,
    describe_pictures,
    is_media_index,
)
from report_gen.imaging.unreadable import count_unreadable
from report_gen.records import Image, Series, Study

IMAGE_SUFFIXES = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
"""A file with such a name that is not an image is reported as broken, not as another kind of file."""

_UNSUPPORTED_SUFFIXES = frozenset({".bmp", ".gif", ".heic", ".j2k", ".jp2", ".jxl", ".mha", ".mhd", ".nii", ".nrrd"})
"""Images of other formats. They are errors also beside images, because they may belong to a study."""

_PROGRAMS = (b"\x7fELF", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe")
"""First bytes of programs for Linux and macOS, such as the viewer on a CD of images. Their names have no suffix."""

_HEAD_BYTES = 132
"""Length of the DICOM preamble and prefix, enough to recognize every format."""
_FORMATS = "DICOM, PNG, JPEG, TIFF or WebP"


@dataclass(frozen=True)
class StudyCollection:
    """The studies that were found, and what was not read."""

    studies: tuple[Study, ...]
    refused: tuple[StudyError, ...]
    """An error for each file or study that cannot be read, and for each folder without images."""
    passed_over: tuple[NotAnImageError, ...] = ()
    """Files without an image that lie in a folder, such as structured reports, DICOMDIR and texts."""
    notices: tuple[str, ...] = ()
    """Sentences for the user: what was passed over, and which pictures were taken for one study or for several."""


def read_study(path: str | os.PathLike[str], *, as_study: bool = False) -> Study:
    """Read the study in a file, or the only study in a folder.

    Files without an image are ignored if they lie beside images.

    Args:
        path: A DICOM, PNG, JPEG, TIFF or WebP file, or a folder of such files.
        as_study: See `read_studies`.

    Returns:
        The record of the study. Its pixels are read later, by `load_pixels`.

    Raises:
        StudyError: The file is not a readable image, or the folder contains no study, several, or a broken file.
    """
    found = read_studies(path, as_study=as_study)
    if found.refused:
        raise found.refused[0]
    if len(found.studies) > 1:
        reason = f"contains {len(found.studies)} studies; give the folder of one, or use read_studies"
        pictures = any(study.study_instance_uid is None for study in found.studies)
        raise StudyError(Path(path), reason + (", or as_study=True to join its pictures" if pictures else ""))
    return found.studies[0]


def read_studies(*paths: str | os.PathLike[str], as_study: bool = False) -> StudyCollection:
    """Read every study at or below paths. A file that cannot be read does not stop the others.

    A file is a study of its own. In a folder DICOM files are grouped by Study Instance UID. The other images of one
    folder, called pictures, are one study if there are at most six and their names do not differ like those of
    patients; otherwise each is a study of its own. Hidden files and devices are ignored. Symbolic links are followed
    if their target lies below the folder.

    Args:
        paths: DICOM, PNG, JPEG, TIFF or WebP files, or folders.
        as_study: Join the pictures of each folder, and the pictures among `paths`, whatever their number and names are.
            DICOM files are grouped by Study Instance UID.

    Returns:
        The studies, each with a name of its own, and the errors of the files and studies that were refused.
    """
    sources = _read_sources([Path(path) for path in paths], as_study=as_study)
    studies = [study for source in sources for study in source.studies]
    for source in sources:
        _refuse_without_image(source, beside_images=bool(studies))
    names = unique_names(study.name for study in studies)
    return StudyCollection(
        studies=tuple(dataclasses.replace(study, name=name) for study, name in zip(studies, names, strict=True)),
        refused=tuple(error for source in sources for error in source.refused),
        passed_over=tuple(error for source in sources for error in source.without_image),
        notices=tuple(_notices(sources)),
    )


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


def is_dicom_file(path: Path) -> bool:
    """Return whether a file may be DICOM by its content. Raises StudyError if it cannot be read."""
    return is_dicom(_head(path))


def _read_image(path: Path) -> LoadedImage:
    read = read_dicom_image if is_dicom_file(path) else read_raster_image
    image = read(path)
    pixels = np.ascontiguousarray(image.pixels, dtype=np.float32)
    if pixels.min() == pixels.max():
        pixels = np.zeros_like(pixels)
    return LoadedImage(pixels, image.notices)


@dataclass
class _Source:
    """Files that are read together: those of a folder, or files that were given by name."""

    folder: Path | None
    found: FoundFiles
    studies: list[Study] = field(default_factory=list)
    refused: list[StudyError] = field(default_factory=list)
    without_image: list[NotAnImageError] = field(default_factory=list)
    guesses: list[PictureFolder] = field(default_factory=list)
    is_empty: bool = False
    """Whether a folder contains no image, not even a broken one, and was refused for that."""


def _read_sources(paths: Sequence[Path], *, as_study: bool) -> list[_Source]:
    """Read each folder, and each file by itself; files are one source, the last, if they are read as one study."""
    folders = [path for path in paths if _is_folder(path)]
    files = [path for path in paths if path not in folders]
    if as_study:
        return [_read_source(path, find_files(path), as_study=True) for path in folders] + [
            _read_source(None, FoundFiles(tuple(files)), as_study=True)
        ]
    return [
        _read_source(path, find_files(path)) if path in folders else _read_source(None, FoundFiles((path,)))
        for path in paths
    ]


def _read_source(folder: Path | None, found: FoundFiles, *, as_study: bool = False) -> _Source:
    """Read the files of a source and merge them into studies, in the order of Study Instance UIDs and paths."""
    source = _Source(folder, found, refused=list(found.unreadable))
    dicom: list[Study] = []
    pictures: list[Study] = []
    for path in found.files:
        try:
            single = _read_file(path)
        except NotAnImageError as error:
            source.without_image.append(without_traceback(error))
        except StudyError as error:
            if folder is None or not is_media_index(error):
                source.refused.append(without_traceback(error))
        else:
            (dicom if is_dicom_file(path) else pictures).append(single)
    if folder is None and not as_study:
        source.studies = dicom + pictures  # one file, which keeps its name
        return source
    if folder is None:
        groups = [join_pictures(pictures)] if pictures else []
    else:
        groups, source.guesses = group_pictures(pictures, as_study=as_study)
    groups = [*group_dicom(dicom), *groups]
    unreadable = count_unreadable(groups, [error.path for error in source.refused])
    for group, number in zip(groups, unreadable, strict=True):
        try:
            source.studies.append(dataclasses.replace(merge_files(group), unreadable_images=number))
        except StudyError as error:
            source.refused.append(without_traceback(error))
    source.studies.sort(key=lambda study: (study.study_instance_uid or "", study.images[0].path))
    return source


def _refuse_without_image(source: _Source, *, beside_images: bool) -> None:
    """Refuse a folder without any image, not even a broken one, and a file without an image that was given by name.

    A DICOM object that was given by name is passed over beside images, because a pattern such as study/* names
    structured reports as well.
    """
    if source.folder is None:
        source.refused += [error for error in source.without_image if not (error.kind and beside_images)]
        source.without_image = [error for error in source.without_image if error.kind and beside_images]
    elif not source.studies and not source.refused:
        source.is_empty, found = True, source.found
        details = (*describe_passed_over(source.without_image), *describe_links(found.outside, found.dangling))
        reason = "; ".join(("no images found", *details, f"give a folder with {_FORMATS} files"))
        source.refused.append(NotAnImageError(source.folder, reason))


def _notices(sources: Sequence[_Source]) -> Iterator[str]:
    """Yield the notices on all sources. The error of an empty folder says the same of its files."""
    read = [source for source in sources if not source.is_empty]
    yield from describe_passed_over([error for source in read for error in source.without_image])
    yield from describe_links(
        [link for source in read for link in source.found.outside],
        [link for source in read for link in source.found.dangling],
    )
    yield from describe_pictures([folder for source in read for folder in source.guesses])


def _read_file(path: Path) -> Study:
    """Read one file as a study of one image, named after the file."""
    head = _head(path)
    if is_dicom(head):
        return _hashed(describe_dicom(path, ""))
    if is_raster(head):
        return _hashed(Study(name=path.stem, series=(Series(images=(describe_raster(path, ""),)),)))
    suffix = path.suffix.lower()
    may_be_dicom = suffix[1:].isdigit() or not suffix[1:]  # files of DICOM media have no suffix, others end like a UID
    if not head and (suffix in IMAGE_SUFFIXES or may_be_dicom):
        raise StudyError(path, "the file is empty; copy or export it again")
    if suffix in IMAGE_SUFFIXES:
        raise StudyError(path, f"has the name of an image but is not one; give a {_FORMATS} file")
    if suffix in _UNSUPPORTED_SUFFIXES or path.name.lower().endswith(".nii.gz"):
        raise StudyError(path, f"is an image in a format that is not supported; export it as {_FORMATS}")
    if may_be_dicom and b"\0" in head and not head.startswith(_PROGRAMS):
        raise StudyError(path, f"is neither an image nor a text; give a {_FORMATS} file")
    raise NotAnImageError(path, f"is not an image; give a {_FORMATS} file")


def _hashed(single: Study) -> Study:
    """Return a study of one image with the hash of its file, which is computed last because it reads the whole file."""
    (series,), (image,) = single.series, single.images
    image = dataclasses.replace(image, sha256=_sha256(image.path))
    return dataclasses.replace(single, series=(dataclasses.replace(series, images=(image,)),))


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
