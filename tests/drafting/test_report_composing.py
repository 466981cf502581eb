"""Reports of a generated text: its sections, and the notices before those of its audit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from report_gen.drafting.report_composing import ReportComposer
from report_gen.generation import Decoding, GeneratedText
from report_gen.records import Finding, FindingState, Report, parse_report
from tests.builders import FINDINGS, study, tiny_checkpoint

SECTIONS = parse_report("FINDINGS: There is a small pleural effusion. A pacemaker is seen.")


def compose(folder: Path, *, remove_unsupported: bool) -> Report:
    present = "Pleural Effusion"
    states = {name: FindingState.PRESENT if name == present else FindingState.UNKNOWN for name in FINDINGS}
    return ReportComposer(tiny_checkpoint(), device=torch.device("cpu"), dtype=torch.float32).compose(
        study(folder),
        findings=tuple(Finding(name=name, state=state) for name, state in states.items()),
        attributes=(),
        text=GeneratedText(SECTIONS, 0.5),
        notices=("first",),
        decoding=Decoding(remove_unsupported=remove_unsupported),
    )


@pytest.mark.parametrize("remove", [True, False])
def test_unsupported_sentences_are_removed_only_if_the_decoding_says_so(remove: bool, tmp_path: Path) -> None:
    report = compose(tmp_path, remove_unsupported=remove)
    texts = [sentence.text for section in report.sections for sentence in section.sentences]
    assert texts == ["There is a small pleural effusion.", "A pacemaker is seen."][: 1 if remove else 2]
    assert report.notices[0] == "first"
    assert any("1 generated sentences removed" in notice for notice in report.notices) is remove
