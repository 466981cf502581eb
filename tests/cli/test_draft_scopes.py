"""`report-gen draft` with the embedded models: the scope of a study decides which of them drafts it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.model import embedded_checkpoints, read_config
from report_gen.phantom.dicom import write_phantom
from report_gen.records import BANNER
from tests.builders import write_png
from tests.cli.conftest import Command
from tests.dicom_files import STUDY_UID, write_dicom
from tests.slice_files import write_slices

FAST = ("--method", "greedy", "--candidates", 1)
DEMONSTRATION = "this model is a demonstration"
ERROR_RATE = "of abnormal test radiographs, one in four gets a normal draft"


def head_phantom(number: int) -> NDArray[np.int16]:
    """Return a slice of a drawn head in Hounsfield units: air, skull, brain, and ventricles in the middle slices."""
    rows, columns = np.mgrid[-1:1:128j, -1:1:128j]
    radius = np.hypot(rows / 0.8, columns / 0.65) / (1 - ((number - 10) / 22) ** 2)
    head = np.select([radius < 0.88, radius < 1], [np.int16(35), np.int16(900)], np.int16(-1000))
    ventricles = (np.hypot(rows / 0.3, (np.abs(columns) - 0.12) / 0.08) < 1) & (6 < number < 14)
    return np.where(ventricles, np.int16(5), head)


@pytest.fixture
def head_ct(tmp_path: Path) -> Path:
    positions = [(0, 0, 7 * number) for number in range(20)]
    write_slices(tmp_path / "head", positions, shape=(128, 128), pixels=head_phantom, BodyPartExamined="HEAD")
    return tmp_path / "head"


def test_the_embedded_models_have_scopes_that_do_not_overlap() -> None:
    scopes = {name: read_config(folder).scope for name, folder in embedded_checkpoints().items()}
    assert list(scopes) == ["chest_xray", "ct_mr_slices"]
    assert not set(scopes["chest_xray"].modalities) & set(scopes["ct_mr_slices"].modalities)
    assert all(scope.modalities and scope.recognizer for scope in scopes.values())


def test_a_series_is_drafted_by_the_model_of_slices(report_gen: Command, head_ct: Path) -> None:
    answer = report_gen("draft", head_ct, "--format", "json", *FAST)
    assert answer.code == 0
    assert answer.err.endswith(f"{STUDY_UID}: drafted by the embedded model ct_mr_slices (ct-mr-slices)\n")
    draft = json.loads(answer.out)
    assert draft["provenance"]["model_name"] == "ct-mr-slices"
    assert len(draft["provenance"]["inputs"]) == 8
    assert draft["notices"][0].startswith(DEMONSTRATION)
    attributes = {one["name"]: (one["value"], one["from_header"]) for one in draft["attributes"]}
    assert attributes == {"modality": ("CT", True), "plane": ("axial", True), "body_part": ("head", True)}
    assert "Hemorrhage" in {finding["name"] for finding in draft["findings"]}


def test_each_study_of_a_folder_gets_its_model(report_gen: Command, head_ct: Path, tmp_path: Path) -> None:
    """One line for each model names its studies, and every draft names its model."""
    write_phantom(tmp_path / "chest", seed=1)
    write_phantom(tmp_path / "chest", seed=2)
    answer = report_gen("draft", tmp_path / "chest", head_ct, "-o", tmp_path / "out", *FAST)
    assert answer.code == 0
    lines = [line for line in answer.err.splitlines() if "drafted by" in line]
    assert len(lines) == 2
    assert re.fullmatch(
        r"report-gen: notice: .* and 1 more: drafted by the embedded model chest_xray \(chest-xray-located-findings\)",
        lines[0],
    )
    assert lines[1] == f"report-gen: notice: {STUDY_UID}: drafted by the embedded model ct_mr_slices (ct-mr-slices)"
    drafts = {path.stem: path.read_text() for path in (tmp_path / "out").glob("*.txt")}
    assert all(text.startswith(BANNER) for text in drafts.values())
    assert len(drafts) == 3
    by_model = {name: text.splitlines()[-1].split(",")[0] for name, text in drafts.items()}
    assert by_model.pop(STUDY_UID) == "Drafted by ct-mr-slices"
    assert set(by_model.values()) == {"Drafted by chest-xray-located-findings"}
    assert all((DEMONSTRATION in text) == (name == STUDY_UID) for name, text in drafts.items())
    assert all((ERROR_RATE in text) == (name != STUDY_UID) for name, text in drafts.items())


def test_a_forced_draft_of_a_photograph_says_in_the_first_notice_that_it_is_none(
    report_gen: Command, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    photograph = write_png(tmp_path / "photograph.png", noise)
    refused = report_gen("draft", photograph)
    assert (refused.code, refused.out) == (StudyError.exit_code, "")
    answer = report_gen("draft", photograph, "--force", *FAST)
    assert answer.code == 0
    forced = re.compile(
        r"FORCED DRAFT: outside the scope of the model \[image\]: the image was not recognized as a chest radiograph "
        r"\(image recognizer: score ([0-9.]+), limit 1\)"
    )
    lines = answer.out.splitlines()
    assert lines[:2] == [BANNER, ""]
    found = forced.fullmatch(lines[2].removeprefix("NOTICE: "))
    assert found is not None
    assert float(found[1]) > 1
    assert f"report-gen: notice: {photograph}: {found[0]}\n" in answer.err


def test_a_study_that_fits_no_model_is_refused_with_one_sentence(report_gen: Command, tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "us.dcm", head_phantom(10).astype(np.uint16), Modality="US")
    answer = report_gen("draft", path)
    assert answer.code == StudyError.exit_code
    assert answer.err == (
        f"report-gen: {path}: outside the scope of the model [modality]: the modality is US; the embedded models are "
        "chest_xray (CR, DX, RG; chest; PA, AP, FRONTAL; at least 16 years), ct_mr_slices (CT, MR); --force drafts it "
        "anyway\n"
    )


def test_an_embedded_model_is_chosen_by_its_name(report_gen: Command, tmp_path: Path) -> None:
    write_phantom(tmp_path / "chest")
    answer = report_gen("draft", tmp_path / "chest", "--checkpoint", "ct_mr_slices")
    assert answer.code == StudyError.exit_code
    assert (
        "the model was made for CT, MR; leave --checkpoint out, or name chest_xray; --force drafts it anyway"
        in answer.err
    )


def test_the_refusal_by_a_chosen_model_names_the_embedded_one_that_was_made_for_the_study(
    report_gen: Command, head_ct: Path, tmp_path: Path
) -> None:
    answer = report_gen("draft", head_ct, "--checkpoint", "chest_xray")
    assert answer.code == StudyError.exit_code
    assert answer.err.endswith("; leave --checkpoint out, or name ct_mr_slices\n")
    chest = write_dicom(tmp_path / "chest.dcm", Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA")
    answer = report_gen("draft", chest, "--checkpoint", "ct_mr_slices")
    assert answer.err.endswith("; leave --checkpoint out, or name chest_xray; --force drafts it anyway\n")
    ultrasound = write_dicom(tmp_path / "us.dcm", Modality="US")
    assert "leave --checkpoint out" not in report_gen("draft", ultrasound, "--checkpoint", "ct_mr_slices").err
