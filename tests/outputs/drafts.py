"""Drafts of a drawn radiograph, for tests that show them in other programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from report_gen.imaging import load_pixels, read_study
from report_gen.outputs import DraftDocument
from report_gen.phantom.dicom import write_phantom
from report_gen.records import Box, Heatmap, Report, Section, SectionName, Sentence, strip_controls

MARKUP = (
    "<script>alert(1)</script> & \"quoted\" 'single' <b>bold</b> <img src=http://127.0.0.1:9/a.png onerror=alert(2)>"
)
"""A sentence that a program which takes it for HTML would run and load."""

_SIDE = 256
"""Rows and columns of the radiograph."""


def phantom_draft(
    folder: Path, report: Report, *, seed: int = 0, findings: tuple[str, ...], revises: Path | None = None
) -> DraftDocument:
    """Write a radiograph and return a draft of it, with the attention of "Pneumonia" in its lower right quarter.

    Args:
        folder: Folder of the radiograph.
        report: The draft.
        seed: Seed of the radiograph. All radiographs are of one patient, each in a study of its own.
        findings: Sentences that replace the findings of the draft.
        revises: See `DraftDocument`.
    """
    study = read_study(write_phantom(folder, rows=_SIDE, columns=_SIDE, seed=seed))
    section = Section(SectionName.FINDINGS, tuple(Sentence(text, 0.75) for text in findings))
    report = replace(report, sections=(section, *report.sections[1:]))
    weights = np.full((4, 4), 0.01, dtype=np.float32)
    weights[2:, 2:] = 0.22
    attention = Heatmap(
        image=load_pixels(study.images[0]),
        square=(0.0, 0.0, float(_SIDE)),
        part=Box(0, 0, _SIDE, _SIDE),
        weights={"Pneumonia": weights},
    )
    return DraftDocument(report=report, study=study, attention=attention, revises=revises)


def shown_sentences(report: Report) -> list[str]:
    """Return the sentences of a draft as outputs show them."""
    return [strip_controls(sentence.text) for section in report.sections for sentence in section.sentences]
