"""Target of the DICOM formats: drafts of radiographs whose headers have hostile values."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydicom import dcmread

from report_gen import read_study
from report_gen.outputs import DraftDocument, get_format
from report_gen.outputs.source_header import PATIENT_KEYWORDS, STUDY_KEYWORDS
from tests.dicom_files import dicom
from tests.fuzz.example import Example, Target
from tests.fuzz.report_targets import REPORT
from tests.hostile_headers import hostile_file

_FILE = "image.dcm"
_FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-sc")
"""The format dicom-pdf copies the same attributes, and its page takes a second."""


def _seeds() -> Sequence[Example]:
    buffer = io.BytesIO()
    dicom().save_as(buffer)
    return [Example({_FILE: buffer.getvalue()}, _FILE)]


def _hostile_files(_seeds: Sequence[Example]) -> SearchStrategy[Example]:
    keywords = (*PATIENT_KEYWORDS, *STUDY_KEYWORDS, "BodyPartExamined", "NumberOfFrames")
    return st.integers(0, 2**32).map(lambda seed: Example({_FILE: hostile_file(keywords, seed)}, _FILE))


def _write(path: Path) -> object:
    """Write a draft in each format, and read it with pydicom."""
    document = DraftDocument(report=REPORT, study=read_study(path))
    contents = [get_format(name).render(document) for name in _FORMATS]
    return [element.value for content in contents for element in dcmread(io.BytesIO(content)).iterall()]


TARGETS = (Target("documents", _seeds, _hostile_files, _write),)
