"""Reports of a generated text: its sections, and the notices before those of its audit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report_gen.drafting.checkpoint_generator import CheckpointGenerator
from report_gen.drafting.report_composing import ReportComposer
from report_gen.drafting.report_generator import GeneratedDraft
from report_gen.drafting.request import DraftRequest
from report_gen.generation import Decoding, GeneratedText
from report_gen.records import Finding, FindingLocation, FindingState, Side, parse_report
from tests.builders import FINDINGS, study, tiny_checkpoint


@pytest.mark.parametrize(("removed", "counted"), [(0, ""), (1, "1 sentence was"), (2, "2 sentences were")])
def test_a_notice_counts_the_removed_sentences(removed: int, counted: str, tmp_path: Path) -> None:
    sections = parse_report("FINDINGS: There is a small pleural effusion.")
    report = ReportComposer(CheckpointGenerator(tiny_checkpoint()).info).compose(
        DraftRequest(study(tmp_path)),
        GeneratedDraft(
            text=GeneratedText(sections, 0.5, removed=removed),
            findings=tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in FINDINGS),
            notices=("first",),
            max_report_tokens=40,
        ),
        decoding=Decoding(),
    )
    assert report.sections == sections
    assert report.notices[0] == "first"
    stated = [notice for notice in report.notices if " removed: " in notice]
    assert stated == [f"{counted} removed: no predicted finding supports the text"] * bool(removed)


def test_every_draft_begins_with_the_notice_of_the_model(tmp_path: Path) -> None:
    checkpoint = tiny_checkpoint()
    checkpoint.model.config = checkpoint.model.config.model_copy(update={"notice": "a demonstration"})
    composer = ReportComposer(CheckpointGenerator(checkpoint).info)
    written = composer.compose(
        DraftRequest(study(tmp_path)),
        GeneratedDraft(
            text=GeneratedText(parse_report("FINDINGS: Clear lungs."), 0.5),
            findings=tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in FINDINGS),
            notices=("another",),
            max_report_tokens=40,
        ),
        decoding=Decoding(),
    )
    blank = composer.compose_blank(DraftRequest(study(tmp_path)), notices=("another",), decoding=Decoding())
    assert written.notices[:2] == blank.notices == ("a demonstration", "another")


@pytest.mark.parametrize("ended", [True, False])
def test_a_text_that_was_cut_at_its_limit_has_a_notice(ended: bool, tmp_path: Path) -> None:
    report = ReportComposer(CheckpointGenerator(tiny_checkpoint()).info).compose(
        DraftRequest(study(tmp_path)),
        GeneratedDraft(
            text=GeneratedText(parse_report("FINDINGS: There is a small"), 0.5, ended=ended),
            findings=tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in FINDINGS),
            notices=(),
            max_report_tokens=40,
        ),
        decoding=Decoding(),
    )
    notice = "the text is incomplete: it was cut at 40 tokens; complete it by hand"
    assert (notice in report.notices) is not ended


@pytest.mark.parametrize("problem", ["Image Position (Patient) is missing", None])
def test_sides_are_removed_where_the_header_states_no_position(problem: str | None, tmp_path: Path) -> None:
    """The side that the user set stays."""
    pictures = study(tmp_path)
    slices = pictures.with_images([replace(image, plane_problem=problem) for image in pictures.images])
    left = FindingLocation(Side.LEFT)
    text = "FINDINGS: There is a right pleural effusion. There is left atelectasis."
    report = ReportComposer(CheckpointGenerator(tiny_checkpoint()).info).compose(
        DraftRequest(slices),
        GeneratedDraft(
            text=GeneratedText(parse_report(text), 0.5),
            findings=tuple(
                Finding(name=name, state=FindingState.PRESENT, location=left, location_overridden=name == "Atelectasis")
                for name in FINDINGS
            ),
            max_report_tokens=40,
        ),
        decoding=Decoding(),
    )
    without = "There is a pleural effusion. There is left atelectasis."
    assert report.sections[0].text == (without if problem else text.removeprefix("FINDINGS: "))
    notice = "1 sentence was shortened or removed: the sides of the patient are not known"
    assert (notice in report.notices) is bool(problem)
