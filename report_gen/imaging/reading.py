"""Read studies from files and folders.

The format of a file is recognized by its content, not by its name.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from report_gen.errors import NotAnImageError, StudyError, without_traceback
from report_gen.files import unique_names
from report_gen.imaging.discovery import FoundFiles, find_files
from report_gen.imaging.grouping import (
    PictureFolder,
    StudyFiles,
    group_dicom,
    group_pictures,
    group_volumes,
    join_pictures,
    merge_files,
)
from report_gen.imaging.image_files import FORMATS, FileFormat, describe_file
from report_gen.imaging.reading_notices import (
    describe_copies,
    describe_links,
    describe_passed_over,
    describe_pictures,
    describe_split_studies,
    is_media_index,
)
from report_gen.imaging.sharding import Shard
from report_gen.imaging.unreadable import count_unreadable, study_uid
from report_gen.records import Study


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
        path: A DICOM, NIfTI, PNG, JPEG, TIFF or WebP file, or a folder of such files.
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


def read_studies(*paths: str | os.PathLike[str], as_study: bool = False, shard: Shard | None = None) -> StudyCollection:
    """Read every study at or below paths. A file that cannot be read does not stop the others.

    A file is a study of its own, with an image for each of its frames or slices. In a folder DICOM files are grouped
    by Study Instance UID, and each NIfTI file is a study of its own. The other images of one folder, called pictures,
    are one study if there are at most six and their names do not differ like those of patients; otherwise each is a
    study of its own. Hidden files and devices are ignored. Symbolic links are followed if their target lies below the
    folder.

    Args:
        paths: DICOM, NIfTI, PNG, JPEG, TIFF or WebP files, or folders.
        as_study: Join the pictures and NIfTI files of each folder, and those among `paths`, whatever their number and
            names are. DICOM files are grouped by Study Instance UID.
        shard: Return only the studies of this part. Of DICOM files of other parts only the Study Instance UID is read.

    Returns:
        The studies, each with a name of its own, and the errors of the files and studies that were refused.
    """
    sources = _read_sources([Path(path) for path in paths], as_study=as_study, shard=shard)
    studies = [study for source in sources for study in source.studies]
    for source in sources:
        _refuse_without_image(source, beside_images=bool(studies))
    names = unique_names(study.name for study in studies)
    named = [dataclasses.replace(study, name=name) for study, name in zip(studies, names, strict=True)]
    return StudyCollection(
        studies=tuple(study for study in named if shard is None or shard.contains_study(study)),
        refused=tuple(error for source in sources for error in source.refused),
        passed_over=tuple(error for source in sources for error in source.without_image),
        notices=tuple(_notices(sources)),
    )


@dataclass
class _Source:
    """Files that are read together: those of a folder, or files that were given by name."""

    folder: Path | None
    found: FoundFiles
    studies: list[Study] = field(default_factory=list)
    refused: list[StudyError] = field(default_factory=list)
    without_image: list[NotAnImageError] = field(default_factory=list)
    guesses: list[PictureFolder] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    """Files that were left out because another file of the study has the same image."""
    is_empty: bool = False
    """Whether a folder contains no image, not even a broken one, and was refused for that."""
    elsewhere: set[tuple[Path, str]] = field(default_factory=set)
    """Folder and Study Instance UID of the DICOM files of other shards, which were not read."""

    def refuse(self, error: StudyError, shard: Shard | None) -> None:
        """Keep the error of a file, unless the file belongs to another shard."""
        if shard is None or study_uid(error.path) or shard.contains_error(error, self.folder):
            self.refused.append(without_traceback(error))


def _read_sources(paths: Sequence[Path], *, as_study: bool, shard: Shard | None) -> list[_Source]:
    """Read each folder, and each file by itself; files are one source, the last, if they are read as one study."""
    folders = [path for path in paths if _is_folder(path)]
    files = [path for path in paths if path not in folders]
    if as_study:
        return [_read_source(path, find_files(path), as_study=True, shard=shard) for path in folders] + [
            _read_source(None, FoundFiles(tuple(files)), as_study=True, shard=shard)
        ]
    return [
        _read_source(path, find_files(path), shard=shard)
        if path in folders
        else _read_source(None, FoundFiles((path,)), shard=shard)
        for path in paths
    ]


def _read_source(
    folder: Path | None, found: FoundFiles, *, as_study: bool = False, shard: Shard | None = None
) -> _Source:
    """Read the files of a source and merge them into studies, in the order of Study Instance UIDs and paths."""
    source = _Source(folder, found)
    for error in found.unreadable:
        source.refuse(error, shard)
    singles, broken = _describe_files(source, shard)
    if folder is None and not as_study:
        source.studies = [study for of_kind in singles.values() for study in of_kind]  # one file, which keeps its name
        return source
    groups, source.guesses = _group(singles, folder, as_study=as_study)
    unreadable = count_unreadable(groups, broken, elsewhere=[folder for folder, _ in source.elsewhere])
    for group, number in zip(groups, unreadable, strict=True):
        try:
            merged = merge_files(group)
            source.studies.append(dataclasses.replace(merged, unreadable_images=number))
        except StudyError as error:
            source.refused.append(without_traceback(error))
        else:
            kept = {image.path for image in merged.images}
            source.copies += [path for one in group.singles if (path := one.images[0].path) not in kept]
    source.studies.sort(key=lambda study: (study.study_instance_uid or "", study.images[0].path))
    return source


def _describe_files(source: _Source, shard: Shard | None) -> tuple[dict[FileFormat, list[Study]], list[Path]]:
    """Read the record of each file of a source, by its format. Also return what cannot be read."""
    singles: dict[FileFormat, list[Study]] = {kind: [] for kind in FileFormat}
    broken = [error.path for error in source.found.unreadable]
    for path in source.found.files:
        if shard is not None and (uid := study_uid(path)) and not shard.contains(uid):
            source.elsewhere.add((path.parent, uid))
            continue
        try:
            kind, single = describe_file(path)
        except NotAnImageError as error:
            source.without_image.append(without_traceback(error))
        except StudyError as error:
            if source.folder is None or not is_media_index(error):
                source.refuse(error, shard)
                broken.append(path)
        else:
            singles[kind].append(single)
    return singles, broken


def _group(
    singles: Mapping[FileFormat, list[Study]], folder: Path | None, *, as_study: bool
) -> tuple[list[StudyFiles], list[PictureFolder]]:
    """Return the files of each study, and the folders whose pictures were grouped by a guess."""
    dicom, volumes, pictures = (singles[kind] for kind in FileFormat)
    if as_study:
        volumes, pictures = [], volumes + pictures
    groups = [*group_dicom(dicom), *group_volumes(volumes)]
    if folder is None:
        return groups + ([join_pictures(pictures)] if pictures else []), []
    of_pictures, guesses = group_pictures(pictures, as_study=as_study)
    return groups + of_pictures, guesses


def _refuse_without_image(source: _Source, *, beside_images: bool) -> None:
    """Refuse a folder without any image, not even a broken one, and a file without an image that was given by name.

    A DICOM object that was given by name is passed over beside images, because a pattern such as study/* names
    structured reports as well.
    """
    if source.folder is None:
        source.refused += [error for error in source.without_image if not (error.kind and beside_images)]
        source.without_image = [error for error in source.without_image if error.kind and beside_images]
    elif not source.studies and not source.refused and not source.elsewhere:
        source.is_empty, found = True, source.found
        details = (*describe_passed_over(source.without_image), *describe_links(found.outside, found.dangling))
        reason = "; ".join(("no images found", *details, f"give a folder with {FORMATS} files"))
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
    yield from describe_copies([path for source in read for path in source.copies])
    yield from describe_split_studies([study for source in read for study in source.studies])


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises if a parent folder may not be entered
