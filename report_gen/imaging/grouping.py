"""Group files into studies, and refuse files that contradict each other."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path

import numpy as np

from report_gen.errors import StudyError
from report_gen.imaging.dicom import open_frames
from report_gen.imaging.patient import is_human
from report_gen.imaging.patients import differing_attributes
from report_gen.imaging.picture_names import differ_like_patients, name_views
from report_gen.records import Image, Series, Study, first_indication
from report_gen.word_lists import join_words

MAX_PICTURES = 6
"""Pictures of one folder that may be one study. More are taken for a collection of studies."""


_MAX_AGE_DIFFERENCE = 1.0
"""Largest difference between the ages in one study, years: headers round them, and birthdays lie between images."""


@dataclass(frozen=True)
class StudyFiles:
    """Files of one study, each as a study of its images."""

    singles: tuple[Study, ...]
    """One record per file: a study with the image of the file, or with its frames."""
    name: str
    """Name of the merged study."""


@dataclass(frozen=True)
class PictureFolder:
    """How the loose pictures of one folder were grouped."""

    path: Path
    pictures: int
    joined: bool
    """Whether they form one study. If not, each picture is a study of its own."""


def group_dicom(singles: Iterable[Study]) -> list[StudyFiles]:
    """Group DICOM files by Study Instance UID. A file without one is a study of its own."""
    by_uid: dict[str | Path, list[Study]] = defaultdict(list)
    for single in singles:
        by_uid[single.study_instance_uid or _path(single)].append(single)
    return [StudyFiles(tuple(group), group[0].study_instance_uid or group[0].name) for group in by_uid.values()]


def group_pictures(singles: Iterable[Study], *, as_study: bool = False) -> tuple[list[StudyFiles], list[PictureFolder]]:
    """Group pictures (PNG, JPEG, TIFF, WebP) by folder, unless their number or names suggest several patients.

    The pictures of a folder are one study if there are at most `MAX_PICTURES` and if their names do not differ like
    those of patients (see `picture_names`). Otherwise each is a study of its own.

    Args:
        singles: One study for each picture.
        as_study: Join the pictures of a folder whatever their number and names are.

    Returns:
        The groups, and the folders whose grouping is a guess that the user should know of.
    """
    by_folder: dict[Path, list[Study]] = defaultdict(list)
    for single in singles:
        by_folder[_path(single).parent].append(single)
    groups, guesses = [], []
    for folder, group in by_folder.items():
        stems = [_path(single).stem for single in group]
        joined = as_study or (len(group) <= MAX_PICTURES and not differ_like_patients(stems))
        groups += [join_pictures(group)] if joined else [StudyFiles((single,), single.name) for single in group]
        if len(group) > 1 and not as_study and not (joined and name_views(stems)):
            guesses.append(PictureFolder(folder, len(group), joined))
    return groups, guesses


def group_volumes(singles: Iterable[Study]) -> list[StudyFiles]:
    """Return a study for each NIfTI file, which has no identifier of the patient or of the study."""
    return [StudyFiles((single,), single.name) for single in singles]


def join_pictures(singles: Sequence[Study]) -> StudyFiles:
    """Group pictures and volumes as one study, which takes the name of the folder of the first."""
    return StudyFiles(tuple(singles), _path(singles[0]).parent.resolve().name)


def merge_files(files: StudyFiles) -> Study:
    """Merge the files of a study, with series and images in the order of their numbers.

    A series has one Series Instance UID, one modality and one body part, so that an image of the hand in a series of
    the chest keeps its body part. A file of several frames without that UID, such as a NIfTI, is a series. Copies of
    one image count once: equal files, and files with the same SOP Instance UID whose displayed pixels are equal.

    Raises:
        StudyError: The files name two patients or state ages or species that differ, or one SOP Instance UID belongs to
            two different images.
    """
    singles = files.singles
    if len(singles) > 1 and singles[0].study_instance_uid and (differing := _differing(singles)):
        raise StudyError(
            _path(singles[0]).parent,
            f"two patients share one Study Instance UID ({join_words(differing)} differ), as in "
            f"{join_words(_differing_pair(singles))}; separate their files",
        )
    # Files of one series may contradict each other, and an image of a hand in a series of chests stays one of a hand.
    by_series: dict[tuple[Series, Path | None], list[Series]] = defaultdict(list)
    for single in _without_copies(singles):
        one = single.series[0]
        volume = _path(single) if not one.series_instance_uid and len(one.images) > 1 else None
        by_series[dataclasses.replace(one, images=(), series_number=None), volume].append(one)
    ordered = sorted(by_series.values(), key=lambda group: (_number(group[0].series_number), group[0].images[0].path))
    series = tuple(dataclasses.replace(group[0], images=_in_order(group)) for group in ordered)
    return dataclasses.replace(
        singles[0],
        name=files.name,
        series=series,
        patient_id=_first(single.patient_id for single in singles),
        patient_age=min(_stated_ages(singles), default=None),
        patient_sex=_first(single.patient_sex for single in singles),
        patient_species=_first(single.patient_species for single in singles),
        indication=first_indication(image for one in series for image in one.images),
        admitting_diagnoses=_first(single.admitting_diagnoses for single in singles),
        study_time=min(
            filter(None, (single.study_time for single in singles)),
            key=lambda known: (known.date, known.time or time.max),
            default=None,
        ),
    )


def _differing(singles: Sequence[Study]) -> list[str]:
    """Return what the files state about the patient that one patient cannot have, as words for a message."""
    return [*differing_attributes(map(_path, singles)), *_differing_values(singles)]


def _differing_pair(singles: Sequence[Study]) -> list[str]:
    """Return two files that name two patients, among several files that do."""
    count = bisect_left(range(len(singles)), True, key=lambda number: bool(_differing(singles[:number])))
    second = singles[count - 1]  # the first that differs from those before it
    first = next(single for single in singles if _differing([single, second]))
    return [str(_path(first)), str(_path(second))]


def _differing_values(singles: Sequence[Study]) -> Iterator[str]:
    """Yield "age" or "species" if the files state values that one patient cannot have."""
    ages = _stated_ages(singles)
    if ages and max(ages) - min(ages) > _MAX_AGE_DIFFERENCE:
        yield "age"
    species = {single.patient_species for single in singles if single.patient_species}
    if len({"human" if is_human(name) else name.casefold() for name in species}) > 1:
        yield "species"


def _stated_ages(singles: Sequence[Study]) -> list[float]:
    """Return the ages that the files state. An age of 0 is a placeholder beside another age."""
    ages = [single.patient_age for single in singles if single.patient_age is not None]
    return [age for age in ages if age > 0] or ages


def _first(values: Iterable[str | None]) -> str | None:
    return next(filter(None, values), None)


def _without_copies(singles: Sequence[Study]) -> list[Study]:
    """Return one file for each SOP Instance UID, which is unique among all images (PS3.5 9)."""
    first: dict[str, Study] = {}
    for single in singles:
        image = single.images[0]
        known = first.setdefault(image.sop_instance_uid or image.sha256, single)
        if known.images[0].sha256 != image.sha256 and not _same_pixels(known, single):
            reason = f"differs from {_path(known)}, but has the same SOP Instance UID; keep one of the two files"
            raise StudyError(image.path, reason)
    return list(first.values())


def _same_pixels(one: Study, other: Study) -> bool:
    if len(one.images) != len(other.images):
        return False
    with open_frames(_path(one)) as file, open_frames(_path(other)) as copy:
        frames = [image.frame for image in one.images]
        return all(np.array_equal(file.image(frame).pixels, copy.image(frame).pixels) for frame in frames)


def _in_order(group: Sequence[Series]) -> tuple[Image, ...]:
    images = [image for series in group for image in series.images]
    return tuple(sorted(images, key=lambda image: (_number(image.instance_number), image.path, image.frame or 0)))


def _path(single: Study) -> Path:
    return single.images[0].path


def _number(value: int | None) -> float:
    """Return a sort key that puts a missing number last."""
    return float("inf") if value is None else value
