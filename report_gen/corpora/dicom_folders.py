"""Layout `dicom`: a folder of DICOM studies with reports beside them, as files or DICOM structured reports.

A structured report belongs to the study with its Study Instance UID. Other reports belong to the only study whose
images lie in their folder or below it. If a folder contains several studies, the name of the report must be the Study
Instance UID or the name of an image. A file may also lie beside the folder of a study, with the folder's name. It is a
text, an HL7 message, a FHIR document, or a draft of report-gen as JSON.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example, is_file, per_image
from report_gen.corpora.report_texts import REPORT_SUFFIXES, read_report_texts, report_stem
from report_gen.errors import CorpusError, NotAnImageError, StudyError
from report_gen.imaging import StudyCollection, is_dicom, read_studies
from report_gen.labeling import header_values
from report_gen.reading import StructuredReport, read_structured_report
from report_gen.records import Study, view_offsets

_FILES_EXAMINED = 200
_log = logging.getLogger(__name__)


def matches(path: Path) -> bool:
    """Return whether there is a DICOM file among the first files at or below a folder."""
    if not path.is_dir():
        return False
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in sorted(names))
    return any(map(_is_dicom, islice(files, _FILES_EXAMINED)))


def read(path: Path) -> Iterator[Example]:
    """Yield the studies at or below a folder. Studies without a report have empty texts.

    Raises:
        CorpusError: A file cannot be read, no study has a report, or the report of a study is ambiguous.
    """
    found = read_studies(path)
    for notice in found.notices:
        _log.warning("%s", notice)
    reports = _Reports(path, found)
    if not found.studies:
        raise CorpusError(f"{path}: no studies found; give the folder that contains the images")
    with_report = 0
    for study in found.studies:
        columns: dict[str, Any] = (
            dict(header_values(study)) | {"indication": study.indication or ""} | reports.of(study)
        )
        offsets = view_offsets(study.images)
        with_report += bool(columns.get("findings") or columns.get("impression"))
        yield Example(
            study_id=study.name,
            patient_id=study.patient_id or "",
            images=tuple(str(image.path.resolve()) for image in study.images),
            view_positions=tuple(image.view_position.value for image in study.images),
            study_description=study.description or "",
            admitting_diagnoses=study.admitting_diagnoses or "",
            offsets_mm=per_image(None if math.isnan(offset.mm) else offset.mm for offset in offsets),
            offsets_seconds=per_image(None if math.isnan(offset.seconds) else offset.seconds for offset in offsets),
            **columns,
        )
    if not with_report:
        raise CorpusError(f"{path}: no study has a report; put a .txt file or a text SR into the folder of each study")


class _Reports:
    """Assigns reports to studies."""

    def __init__(self, root: Path, found: StudyCollection) -> None:
        self._root = root
        self._folders = {study.name: _common_folder(study) for study in found.studies}
        self._studies_below = Counter(folder for own in self._folders.values() for folder in (own, *own.parents))
        self._by_uid: dict[str, list[StructuredReport]] = defaultdict(list)
        self._by_folder: dict[Path, list[StructuredReport]] = defaultdict(list)
        known = {study.study_instance_uid for study in found.studies}
        for report in _structured_reports(found):
            if report.study_instance_uid in known:
                self._by_uid[report.study_instance_uid].append(report)
            else:
                self._by_folder[report.path.parent].append(report)

    def of(self, study: Study) -> dict[str, str]:
        """Return the texts of the report of a study, from its latest SR or else from a text file; empty without one."""
        reports = self._by_uid.get(study.study_instance_uid or "") or []
        folders = list(self._own_folders(study))
        for folder in folders:
            reports = reports or self._by_folder.get(folder, [])
        if reports:
            return max(reports, key=lambda report: report.written).texts
        text = self._text_file(study, folders)
        return {} if text is None else read_report_texts(text)

    def _own_folders(self, study: Study) -> Iterator[Path]:
        """Yield the folder of the images and its parents, as long as they contain no other study, up to the root."""
        for folder in (own := self._folders[study.name], *own.parents):
            if self._studies_below[folder] > 1 or not folder.is_relative_to(self._root):
                return
            yield folder

    def _text_file(self, study: Study, own_folders: list[Path]) -> Path | None:
        for folder in own_folders:
            texts = [file for file in sorted(folder.iterdir()) if report_stem(file) is not None and is_file(file)]
            if len(texts) > 1:
                raise CorpusError(f"{folder}: contains {len(texts)} text files for one study; keep only the report")
            if texts:
                return texts[0]
        common = self._folders[study.name]
        stems = {study.name, study.study_instance_uid or study.name, *(image.path.stem for image in study.images)}
        candidates = [common / Path(stem).name for stem in sorted(stems)]
        if own_folders:
            candidates = [folder for folder in own_folders if folder != self._root]
        return next(filter(None, map(_report_beside, candidates)), None)


def _report_beside(path: Path) -> Path | None:
    """Return the report with the name of a folder or of an image without suffix; None if there is none."""
    candidates = (path.parent / f"{path.name}{suffix}" for suffix in REPORT_SUFFIXES)
    return next((one for one in candidates if is_file(one) and report_stem(one) is not None), None)


def _common_folder(study: Study) -> Path:
    """Return the deepest folder that contains all images of a study."""
    return Path(os.path.commonpath([image.path.parent for image in study.images]))


def _structured_reports(found: StudyCollection) -> Iterator[StructuredReport]:
    """Yield the structured reports among the DICOM objects without pixels.

    Raises:
        CorpusError: A file is broken.
    """
    broken = [error for error in found.refused if not isinstance(error, NotAnImageError)]
    broken += _files_with_frames(found)
    for error in found.passed_over:
        if error.kind:
            try:
                report = read_structured_report(error.path)
            except StudyError as unreadable:
                broken.append(unreadable)
            else:
                if report is not None:
                    yield report
    if broken:
        raise CorpusError(f"{broken[0]}. This is the first of {len(broken)} broken files; repair or remove them.")


def _files_with_frames(found: StudyCollection) -> Iterator[StudyError]:
    """Yield an error for each file with several images: the table of a corpus has one image for each file."""
    frames = Counter(image.path for study in found.studies for image in study.images if image.frame is not None)
    for path, number in frames.items():
        yield StudyError(path, f"has {number} frames, and a corpus has one image in each file; export each as a file")


def _is_dicom(path: Path) -> bool:
    if not is_file(path):  # a pipe may never end
        return False
    try:
        with path.open("rb") as file:
            return is_dicom(file.read(132))
    except OSError:
        return False
