"""Write the notices of a reading: one sentence for each kind of file that was passed over, however many there are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.uid import MediaStorageDirectoryStorage

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.grouping import MAX_PICTURES, PictureFolder
from report_gen.records import Study

SIDECAR_SUFFIXES = frozenset({".txt", ".json", ".csv", ".md", ".xml", ".toml", ".html", ".pdf"})
"""Files with such names usually lie beside images. They are passed over without a notice."""

JOIN_HINT = "; as_study=True joins them"
"""End of the notice on pictures that are separate studies, for programs that can join them."""

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
            f"{MAX_PICTURES} or their names differ like those of patients{JOIN_HINT}"
        )
    if joined:
        number = sum(folder.pictures for folder in joined)
        yield (
            f"{_folders(joined)}: the {number} images are read as one study; if they show several patients, "
            "put each study into a separate folder"
        )


def describe_copies(copies: Sequence[Path]) -> Iterator[str]:
    """Yield a sentence on files that were left out because others have the same image."""
    if copies:
        files = "1 file is a copy" if len(copies) == 1 else f"{len(copies)} files are copies"
        example = f"{copies[0]}" if len(copies) == 1 else f"such as {copies[0]}"
        yield f"{files} of an image of the same study and left out: {example}"


def describe_split_studies(studies: Sequence[Study]) -> Iterator[str]:
    """Yield a sentence on studies of which several files were given by name, so that each was read as a study."""
    by_uid: dict[str, list[Study]] = defaultdict(list)
    for study in studies:
        by_uid[study.study_instance_uid or ""].append(study)
    by_uid.pop("", None)
    split = [group for group in by_uid.values() if len(group) > 1]
    if split:
        first, number = split[0], sum(map(len, split))
        others = f", and {len(split) - 1} other studies likewise" if len(split) > 1 else ""
        yield (
            f"{number} files are read as separate studies, although {first[0].path} and {first[1].path} have the same "
            f"Study Instance UID{others}; give their folder to read them together"
        )


def _is_sidecar(path: Path) -> bool:
    return path.suffix.lower() in SIDECAR_SUFFIXES


def _count(links: Sequence[Path]) -> str:
    return "1 symbolic link leads" if len(links) == 1 else f"{len(links)} symbolic links lead"


def _folders(folders: Sequence[PictureFolder]) -> str:
    first = folders[0].path
    return f"{first}" if len(folders) == 1 else f"{first} and {len(folders) - 1} more"
