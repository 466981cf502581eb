"""A folder of DICOM studies with their reports beside them: a text file, or a Basic Text or Enhanced SR.

A report belongs to the study whose Study Instance UID it bears. Other reports belong to the one study whose images lie
in their folder or below it, or, of several studies in one folder, to the one whose UID or image has the file's name. A
text file may also stand beside a study's folder, named like it.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example, is_file
from report_gen.corpora.structured_reports import StructuredReport, read_structured_report
from report_gen.corpora.text_files import read_text
from report_gen.errors import CorpusError, NotAnImageError, StudyError
from report_gen.imaging import StudyCollection, is_dicom, read_studies
from report_gen.labeling.attributes import header_values
from report_gen.labeling.sections import cut_report
from report_gen.records.study import Study

_FILES_LOOKED_AT = 200


def matches(path: Path) -> bool:
    """Whether there is a DICOM file among the first files at or below a folder."""
    if not path.is_dir():
        return False
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in sorted(names))
    return any(map(_is_dicom, islice(files, _FILES_LOOKED_AT)))


def read(path: Path) -> Iterator[Example]:
    """Examples of the studies at or below a folder; those without a report have empty texts.

    Raises:
        CorpusError: a file cannot be read, no study has a report, or it is not clear which report is a study's.
    """
    found = read_studies(path)
    reports = _Reports(path, found)
    if not found.studies:
        raise CorpusError(f"{path}: no images of a study are here; give the folder that holds them.")
    told = 0
    for study in found.studies:
        columns: dict[str, Any] = (
            dict(header_values(study)) | {"indication": study.indication or ""} | reports.of(study)
        )
        told += bool(columns.get("findings") or columns.get("impression"))
        yield Example(
            study_id=study.name,
            patient_id=study.patient_id or "",
            images=tuple(str(image.path.resolve()) for image in study.images),
            view_positions=tuple(image.view_position.value for image in study.images),
            **columns,
        )
    if not told:
        raise CorpusError(f"{path}: no report lies beside a study here; put a .txt file or a Text SR into its folder.")


class _Reports:
    """Which report belongs to which study."""

    def __init__(self, root: Path, found: StudyCollection) -> None:
        self._root = root
        self._homes = {study.name: _home(study) for study in found.studies}
        self._studies_below = Counter(folder for home in self._homes.values() for folder in (home, *home.parents))
        self._by_uid: dict[str, list[StructuredReport]] = defaultdict(list)
        self._by_folder: dict[Path, list[StructuredReport]] = defaultdict(list)
        known = {study.study_instance_uid for study in found.studies}
        for report in _structured_reports(found):
            if report.study_instance_uid in known:
                self._by_uid[report.study_instance_uid].append(report)
            else:
                self._by_folder[report.path.parent].append(report)

    def of(self, study: Study) -> dict[str, str]:
        """The texts of a study's report: the latest SR, else a text file; nothing where there is none."""
        written = self._by_uid.get(study.study_instance_uid or "") or []
        folders = list(self._own_folders(study))
        for folder in folders:
            written = written or self._by_folder.get(folder, [])
        if written:
            return max(written, key=lambda report: report.written).texts
        text = self._text_file(study, folders)
        return {} if text is None else cut_report(read_text(text))

    def _own_folders(self, study: Study) -> Iterator[Path]:
        """Folders from that of the images upward which hold no other study, none above the root."""
        for folder in (home := self._homes[study.name], *home.parents):
            if self._studies_below[folder] > 1 or not folder.is_relative_to(self._root):
                return
            yield folder

    def _text_file(self, study: Study, own_folders: list[Path]) -> Path | None:
        for folder in own_folders:
            texts = sorted(folder.glob("*.txt"))
            if len(texts) > 1:
                raise CorpusError(
                    f"{folder}: holds {len(texts)} text files for one study; leave its report alone there."
                )
            if texts:
                return texts[0]
        home = self._homes[study.name]
        stems = {study.name, study.study_instance_uid or study.name, *(image.path.stem for image in study.images)}
        places = [home / f"{Path(stem).name}.txt" for stem in sorted(stems)]
        if own_folders:
            places = [folder.parent / f"{folder.name}.txt" for folder in own_folders if folder != self._root]
        return next((place for place in places if is_file(place)), None)


def _home(study: Study) -> Path:
    """The deepest folder that holds all images of a study."""
    return Path(os.path.commonpath([image.path.parent for image in study.images]))


def _structured_reports(found: StudyCollection) -> Iterator[StructuredReport]:
    """Among the objects without pixels. Raises CorpusError for what is broken."""
    broken = [error for error in found.refused if not isinstance(error, NotAnImageError)]
    for error in found.refused:
        if isinstance(error, NotAnImageError) and _is_dicom(error.path):
            try:
                report = read_structured_report(error.path)
            except StudyError as fault:
                broken.append(fault)
            else:
                if report is not None:
                    yield report
    if broken:
        raise CorpusError(
            f"{broken[0]} This is the first of {len(broken)} broken files; repair them or move them away."
        )


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False
