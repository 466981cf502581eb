"""Studies with lateral views only: refused by the scope, or drafted with a notice, or simply drafted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.drafting import Drafter, DraftRequest, preprocessing
from report_gen.errors import ScopeError
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.prompting import Prompt, PromptValues
from report_gen.records import Report, Study, ViewPosition
from report_gen.tokenizer import ReportTokenizer
from tests.builders import THRESHOLDS, noise_image, tiny_checkpoint, tiny_config
from tests.builders import study as picture
from tests.dicom_files import write_dicom

BRIEF = Decoding(max_tokens=5)
FRONTAL_SCOPE = {"views": ["PA", "AP", "FRONTAL"], "modalities": ["CR"], "body_parts": ["chest"]}
FRONTAL = {"images": {"PA": 9, "AP": 5}, "prompts": {"PA": 9, "AP": 5, "": 2}, "dropout": 0.15}
BOTH = {"images": {"PA": 9, "LATERAL": 9}, "prompts": {"PA": 9, "lateral": 9, "": 2}, "dropout": 0.0}


def lateral(folder: Path, number: int = 1, **attributes: Any) -> Study:
    values = {"BodyPartExamined": "CHEST", "ViewPosition": "LL", "SOPInstanceUID": f"1.{number}"}
    pixels = noise_image(number, size=64).astype(np.uint16)
    write_dicom(folder / "study" / f"{number}.dcm", pixels, **values | attributes)
    return read_study(folder / "study")


def make_drafter(**changes: Any) -> Drafter:
    return Drafter.from_checkpoint(tiny_checkpoint(tiny_config(findings={"present": THRESHOLDS}, **changes)))


@pytest.mark.parametrize(
    "make",
    [
        lateral,
        lambda folder: lateral(folder, 1) and lateral(folder, 2, ViewPosition="RL"),
        lambda folder: picture(folder).with_view(ViewPosition.LATERAL),
    ],
)
def test_a_model_for_frontal_views_refuses_them(tmp_path: Path, make: Any) -> None:
    drafter, study = make_drafter(scope=FRONTAL_SCOPE, trained_views=FRONTAL), make(tmp_path)
    (refused,) = drafter.draft_all([study], decoding=BRIEF)
    assert isinstance(refused, ScopeError)
    assert refused.code == "view"
    assert refused.reason.startswith("the view is lateral, and the model was made for PA, AP, FRONTAL; force=True")
    (forced,) = drafter.draft_all([study], decoding=BRIEF, force=True)
    assert isinstance(forced, Report)
    assert forced.notices[:2] == (
        "FORCED DRAFT: outside the scope of the model [view]: the view is lateral, and the model was made for PA, AP, "
        "FRONTAL",
        "no image has a view that the model was trained on (PA, AP, FRONTAL)",
    )


def test_a_model_without_declared_views_drafts_them_with_a_notice(tmp_path: Path) -> None:
    report = make_drafter(trained_views=FRONTAL).draft(lateral(tmp_path), decoding=BRIEF)
    assert "no image has a view that the model was trained on (PA, AP)" in report.notices


def test_a_model_that_was_trained_on_lateral_views_drafts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views, fit = [], preprocessing.fit_prompt

    def fitting(prompt: Prompt, tokenizer: ReportTokenizer, values: PromptValues, **others: Any) -> Any:
        views.append(values.views)
        return fit(prompt, tokenizer, values, **others)

    monkeypatch.setattr(preprocessing, "fit_prompt", fitting)
    scope = {"views": ["PA", "LATERAL"], "modalities": ["CR"], "body_parts": ["chest"]}
    report = make_drafter(scope=scope, trained_views=BOTH).draft(DraftRequest(lateral(tmp_path)), decoding=BRIEF)
    assert not any("view" in notice for notice in report.notices)
    assert views == ["lateral"]


def test_a_lateral_view_beside_a_frontal_one_is_left_out_or_used(tmp_path: Path) -> None:
    lateral(tmp_path, 1)
    study = lateral(tmp_path, 2, ViewPosition="PA")
    frontal_only = make_drafter(scope=FRONTAL_SCOPE, trained_views=FRONTAL).draft(study, decoding=BRIEF)
    assert [one.sop_instance_uid for one in frontal_only.provenance.inputs] == ["1.2"]
    assert frontal_only.notices[0].startswith("1 of 2 images left out: the view is lateral")
    both = make_drafter(trained_views=BOTH).draft(study, decoding=BRIEF)
    assert [one.sop_instance_uid for one in both.provenance.inputs] == ["1.1", "1.2"]
    assert not any("left out" in notice for notice in both.notices)
