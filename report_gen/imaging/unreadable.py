"""Find the studies that files which cannot be read belong to, so that a draft says which images it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from report_gen.errors import StudyError
from report_gen.imaging.dicom import read_attributes
from report_gen.imaging.dicom_file import raise_study_errors
from report_gen.imaging.grouping import StudyFiles
from report_gen.imaging.picture_names import differ_like_patients


def count_unreadable(
    groups: Sequence[StudyFiles], unreadable: Sequence[Path], elsewhere: Iterable[Path] = ()
) -> list[int]:
    """Return for each study of a folder how many of the unreadable files belong to it.

    A file with a readable Study Instance UID belongs to the study with this UID. Another file belongs to the only study
    in its folder, unless the file names are like those of two patients.

    Args:
        groups: The files of the studies.
        unreadable: Files that cannot be read.
        elsewhere: The folder of each further study, which is not among the groups.
    """
    if not unreadable:
        return [0] * len(groups)
    uids = {path: study_uid(path) for path in unreadable}
    studies_in = Counter([*elsewhere, *(folder for group in groups for folder in _folders(group))])

    def belongs(path: Path, group: StudyFiles) -> bool:
        stated = group.singles[0].study_instance_uid
        if uids[path]:
            return uids[path] == stated
        is_only = path.parent in _folders(group) and studies_in[path.parent] == 1
        return is_only and (bool(stated) or not differ_like_patients((*_stems(group), path.stem)))

    return [sum(belongs(path, group) for path in unreadable) for group in groups]


def study_uid(path: Path) -> str | None:
    """Return the Study Instance UID of a file whose pixels or other attributes may be broken, or None."""
    try:
        with raise_study_errors(path):
            return str(read_attributes(path, ("StudyInstanceUID",)).get("StudyInstanceUID") or "") or None
    except StudyError:
        return None


def _folders(group: StudyFiles) -> set[Path]:
    return {single.path.parent for single in group.singles}


def _stems(group: StudyFiles) -> list[str]:
    return [single.path.stem for single in group.singles]
