"""Write the notices of a reading: one sentence for each kind of file that was passed over, however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.grouping import MAX_PICTURES, PictureFolder

SIDECAR_SUFFIXES = frozenset({".txt", ".json", ".csv", ".md", ".xml", ".toml", ".html", ".pdf"})
"""Files with such names usually lie beside images. They are passed over without a notice."""

_INDEX = "DICOMDIR"
"""Name of the index of a DICOM medium (PS3.10 8.6), and its name with the version number of ISO 9660."""


def is_media_index(error: StudyError) -> bool:
    """Return whether a file that is no image is a DICOMDIR, by its content, or by its name if it is damaged."""
    if isinstance(error, NotAnImageError) and error.kind == MediaStorageDirectoryStorage.name:
        return True
    return error.path.name.upper().partition(";")[0] == _INDEX


def describe_passed_over(errors: Sequence[NotAnImageError]) -> Iterator[str]:
    """Yield a sentence on files without an image. Sidecar files and DICOMDIR are not mentioned."""
    kinds = Counter(error.kind for error in errors if error.kind and not is_media_index(error))
    others = [error.path for error in errors if not (error.kind or is_media_index(error) or _is_sidecar(error.path))]
    parts = [f"{number} {kind.removesuffix(' Storage')}" for kind, number in sorted(kinds.items())]
    parts += [f"{len(others)} of another kind, such as {others[0]}"] if others else []
    if parts:
        yield f"files without an image were ignored: {', '.join(parts)}"


def describe_links(outside: Sequence[Path], dangling: Sequence[Path]) -> Iterator[str]:
    """Yield a sentence on links that lead out of the given folder, and one on links that lead to no file."""
    if outside:
        yield (
            f"{_count(outside)} out of the given folder and cannot be followed, such as {outside[0]}; "
            "give the folder that contains the targets, or the links themselves"
        )
    if dangling:
        yield (
            f"{_count(dangling)} to a file that does not exist, such as {dangling[0]}; fetch the file (git annex get) "
            "or remove the link"
        )


def describe_pictures(folders: Sequence[PictureFolder]) -> Iterator[str]:
    """Yield a sentence on pictures that were taken for several studies, and one on those taken for one study."""
    apart = [folder for folder in folders if not folder.joined]
    joined = [folder for folder in folders if folder.joined]
    if apart:
        number = sum(folder.pictures for folder in apart)
        yield (
            f"{_folders(apart)}: each of the {number} images is read as a separate study, because there are more than "
            f"{MAX_PICTURES} or their names differ like those of patients; as_study=True joins them"
        )
    if joined:
        number = sum(folder.pictures for folder in joined)
        yield (
            f"{_folders(joined)}: the {number} images are read as one study; if they show several patients, "
            "put each study into a separate folder"
        )


def _is_sidecar(path: Path) -> bool:
    return path.suffix.lower() in SIDECAR_SUFFIXES


def _count(links: Sequence[Path]) -> str:
    return "1 symbolic link leads" if len(links) == 1 else f"{len(links)} symbolic links lead"


def _folders(folders: Sequence[PictureFolder]) -> str:
    first = folders[0].path
    return f"{first}" if len(folders) == 1 else f"{first} and {len(folders) - 1} more"
