"""Find DICOM files to send, read what their transfer needs, and put the versions of a document in their order."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.filereader import read_file_meta_info, read_partial
from pydicom.uid import UID

from report_gen.errors import StudyError, describe_missing
from report_gen.imaging import is_dicom, open_dicom, raise_study_errors, read_attributes

_PREFIX = slice(128, 132)
_NO_DICOM = "is not a DICOM file, so archives do not accept it; draft with a DICOM format, such as --format dicom-sr"
_NO_PREFIX = "lacks the prefix of a DICOM file, which archives require (PS3.10 7.1); convert it with dcmconv +F"
_TRUNCATED = "truncated or malformed: the file ends within an attribute; copy or export it again"


@dataclass(frozen=True)
class DicomObject:
    """A DICOM file with the identifiers of its content (PS3.10 7.1)."""

    path: Path
    sop_class_uid: UID
    sop_instance_uid: UID
    transfer_syntax_uid: UID
    study_instance_uid: str = ""
    """Study of the object; "" if the header does not say so."""
    instance_number: int = 0
    """Instance Number, in a draft the number of its version; 0 if the header does not say so."""


@dataclass(frozen=True)
class FoundObjects:
    """DICOM files to send."""

    objects: tuple[DicomObject, ...]
    refused: tuple[StudyError, ...]
    """The errors of files that cannot be sent."""
    ignored: int
    """Number of files in folders that are not DICOM."""


def find_objects(paths: Iterable[Path]) -> FoundObjects:
    """Read the identifiers of files, and of the DICOM files in folders. Hidden files and subfolders are left out.

    The files have the order of the paths, and in a folder that of their names, except that the objects of one study and
    SOP class have the order of their instance numbers: an earlier version of a document comes before the one that
    replaces it, although each version has a series of its own.

    Args:
        paths: Files and folders. A file that is named and is not DICOM is an error.
    """
    objects, refused, ignored = list[DicomObject](), list[StudyError](), 0
    for path in dict.fromkeys(paths):
        try:
            if not path.is_dir():
                objects.append(_read_object(path))
                continue
            with raise_study_errors(path):
                files = sorted(file for file in path.iterdir() if not file.name.startswith(".") and file.is_file())
            dicom = [file for file in files if _has_prefix(file)]
            ignored += len(files) - len(dicom)
            if not dicom:
                raise StudyError(path, "the folder contains no DICOM file; draft with --format dicom-sr")
        except StudyError as error:
            refused.append(error)
            continue
        for file in dicom:
            try:
                objects.append(_read_object(file))
            except StudyError as error:
                refused.append(error)
    return FoundObjects(tuple(_in_version_order(objects)), tuple(refused), ignored)


def _in_version_order(objects: Sequence[DicomObject]) -> list[DicomObject]:
    """Sort the objects of each study and SOP class by their numbers. Each group keeps the places of its objects."""
    groups = defaultdict[tuple[str, UID], list[DicomObject]](list)
    for item in objects:
        groups[item.study_instance_uid, item.sop_class_uid].append(item)
    remaining = {
        (study, sop_class): iter(items if not study else sorted(items, key=lambda item: item.instance_number))
        for (study, sop_class), items in groups.items()
    }
    return [next(remaining[item.study_instance_uid, item.sop_class_uid]) for item in objects]


def _has_prefix(path: Path) -> bool:
    """Return whether a file has the prefix DICM (PS3.10 7.1)."""
    with raise_study_errors(path), path.open("rb") as file:
        return file.read(_PREFIX.stop)[_PREFIX] == b"DICM"


def _read_object(path: Path) -> DicomObject:
    with raise_study_errors(path):
        if not path.exists():
            raise StudyError(path, describe_missing(path))
        if not path.is_file():
            raise StudyError(path, "is not a regular file; give a DICOM file")
        if not _has_prefix(path):
            with path.open("rb") as file:
                raise StudyError(path, _NO_PREFIX if is_dicom(file.read(_PREFIX.stop)) else _NO_DICOM)
        meta = read_file_meta_info(path)
        for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID"):
            if not UID(str(meta.get(keyword, ""))).is_valid:
                raise StudyError(path, f"the file meta information has no valid {keyword}; repair it with dcmconv")
        _check_complete(path)
        study, number = _read_place(path)
        return DicomObject(
            path=path,
            sop_class_uid=UID(meta.MediaStorageSOPClassUID),
            sop_instance_uid=UID(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=UID(meta.TransferSyntaxUID),
            study_instance_uid=study,
            instance_number=number,
        )


def _check_complete(path: Path) -> None:
    """Refuse a file that ends within an attribute, such as one that is still being copied.

    pydicom shortens the last value of such a file. The archive would store the rest of the image or of the document
    under the UID of the whole one.

    Raises:
        StudyError: The file ends within an attribute.
    """
    with raise_study_errors(path, _TRUNCATED), open_dicom(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        read_partial(file, defer_size=0)  # skips the values
        if file.tell() != size:  # beyond the end if a value is shorter than its length, before it without a delimiter
            raise StudyError(path, _TRUNCATED)


def _read_place(path: Path) -> tuple[str, int]:
    """Return the study of an object and its instance number, or "" and 0 if its header is malformed.

    The receiver decides whether it takes a file, so a malformed header is no error here.
    """
    try:
        with raise_study_errors(path):
            header = read_attributes(path, ("StudyInstanceUID", "InstanceNumber"))
            return str(header.get("StudyInstanceUID") or ""), int(header.get("InstanceNumber") or 0)
    except StudyError:
        return "", 0
