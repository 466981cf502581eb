"""The Drafter: reports, overrides, notices, unreadable studies, batches, threads, devices."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

from report_gen.drafting import Drafter, DraftRequest, image_fitting, preprocessing
from report_gen.drafting import checkpoint_generator as drafting
from report_gen.drafting.token_budget import FittedPrompt, fit_prompt
from report_gen.errors import CheckpointError, StudyError, UsageError
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.model import Checkpoint, ReportModel, config_file
from report_gen.outputs import format_json
from report_gen.prompting import Prompt, PromptValues
from report_gen.records import Finding, FindingState, Image, Report, Study, ViewPosition
from report_gen.tokenizer import ReportTokenizer
from tests.builders import PROMPT, THRESHOLDS, study, tiny_config, tiny_model, tokenizer, write_checkpoint, write_png

FINDINGS = chest_xray().findings
PRESENT, ABSENT, UNCERTAIN, UNKNOWN = FindingState
BRIEF = Decoding(max_tokens=12)


def drafter(model: ReportModel | None = None, **changes: Any) -> Drafter:
    model = tiny_model(tiny_config(**{"findings": {"present": THRESHOLDS}} | changes)) if model is None else model
    return Drafter.from_checkpoint(Checkpoint(model, tokenizer(), PROMPT, "ab" * 32))


def drafter_predicting(states: dict[str, float], **changes: Any) -> Drafter:
    """A drafter whose finding head gives these probabilities, and 0.1 to the others, whatever the image."""
    model = tiny_model(tiny_config(**{"findings": {"present": THRESHOLDS}} | changes))
    with torch.no_grad():
        model.projector.finding_weight.zero_()
        model.projector.finding_bias.copy_(torch.tensor([states.get(name, 0.1) for name in FINDINGS]).logit())
    return drafter(model)


def by_name(report: Report) -> dict[str, Finding]:
    return {finding.name: finding for finding in report.findings}


def with_images(found: Study, **changes: Any) -> Study:
    images = tuple(replace(image, **changes) for image in found.images)
    return replace(found, series=(replace(found.series[0], images=images),))


def two_views(folder: Path, first: ViewPosition, second: ViewPosition) -> Study:
    one, other = study(folder, 1), study(folder, 2)
    images = (replace(one.images[0], view_position=first), replace(other.images[0], view_position=second))
    return replace(one, series=(replace(one.series[0], images=images),))


def truncated(found: Study) -> Study:
    """A study whose image was truncated after the study was read."""
    path = found.images[0].path
    path.write_bytes(path.read_bytes()[:60])
    return found


def text_of(report: Report) -> str:
    return " | ".join(section.text for section in report.sections)


def test_a_report_carries_its_provenance(tmp_path: Path) -> None:
    found = study(tmp_path)
    provenance = drafter().draft(found, decoding=BRIEF).provenance
    assert (provenance.model_name, provenance.weights_sha256) == ("tiny", "ab" * 32)
    assert [file.sha256 for file in provenance.inputs] == [image.sha256 for image in found.images]
    assert provenance.decoding["method"] == "greedy"
    assert provenance.decoding["max_tokens"] == 12
    assert provenance.decoding["device"] == "cpu"
    assert provenance.decoding["dtype"] == "float32"
    assert provenance.created.endswith("+00:00")


def test_the_predicted_findings_condition_the_decoder(tmp_path: Path) -> None:
    findings = by_name(drafter_predicting({"Edema": 0.9}).draft(study(tmp_path), decoding=BRIEF))
    assert findings["Edema"].state is PRESENT
    assert findings["Edema"].probability == pytest.approx(0.9)
    assert findings["Fracture"].state is ABSENT
    assert not any(finding.overridden for finding in findings.values())


def test_an_overridden_state_changes_the_text(tmp_path: Path) -> None:
    model, found = drafter_predicting({"Edema": 0.9}), study(tmp_path)
    before = model.draft(found, decoding=BRIEF)
    after = model.draft(found, decoding=BRIEF, overrides={"Edema": ABSENT, "Fracture": UNCERTAIN})
    findings = by_name(after)
    assert (findings["Edema"].state, findings["Edema"].overridden) == (ABSENT, True)
    assert findings["Edema"].probability == pytest.approx(0.9)
    assert (findings["Fracture"].state, findings["Fracture"].overridden) == (UNCERTAIN, True)
    assert after.sections != before.sections
    assert model.draft(found, decoding=BRIEF).sections == before.sections


@pytest.mark.parametrize(
    ("predicted", "overrides", "expected"),
    [
        ({}, {}, PRESENT),
        ({"Edema": 0.9}, {}, ABSENT),
        ({"Support Devices": 0.9}, {}, PRESENT),
        ({"Hernia": 0.9}, {}, FindingState.UNKNOWN),
        ({"Hernia": 0.9, "Edema": 0.9}, {}, ABSENT),
        ({}, {"Fibrosis": UNCERTAIN}, FindingState.UNKNOWN),
        ({}, {"Edema": UNCERTAIN}, UNCERTAIN),
        ({"Edema": 0.9}, {"Edema": ABSENT}, PRESENT),
        ({"Edema": 0.9}, {"No Finding": PRESENT}, PRESENT),
    ],
)
def test_no_finding_follows_from_the_others(
    predicted: dict[str, float], overrides: dict[str, FindingState], expected: FindingState, tmp_path: Path
) -> None:
    report = drafter_predicting(predicted).draft(study(tmp_path), decoding=BRIEF, overrides=overrides)
    assert by_name(report)["No Finding"].state is expected


def test_findings_without_a_trained_head_are_unknown_without_a_probability(tmp_path: Path) -> None:
    report = drafter(findings={"present": [None] * len(FINDINGS)}).draft(study(tmp_path), decoding=BRIEF)
    assert {(finding.state, finding.probability) for finding in report.findings} == {(UNKNOWN, None)}


def test_a_trained_finding_without_a_threshold_has_a_probability(tmp_path: Path) -> None:
    trained = [name == "Edema" for name in FINDINGS]
    model = drafter_predicting({"Edema": 0.9}, findings={"trained": trained, "present": [None] * len(FINDINGS)})
    findings = by_name(model.draft(study(tmp_path), decoding=BRIEF))
    assert model.reported == {"Edema"}
    assert (findings["Edema"].state, findings["Edema"].probability) == (UNKNOWN, pytest.approx(0.9))
    assert findings["Fracture"].probability is None


def test_the_temperature_calibrates_probabilities_before_the_thresholds(tmp_path: Path) -> None:
    findings = {"present": [0.8] * len(FINDINGS), "temperature": 2.0}
    edema = by_name(drafter_predicting({"Edema": 0.9}, findings=findings).draft(study(tmp_path), decoding=BRIEF))[
        "Edema"
    ]
    assert edema.probability == pytest.approx(3 / 4)  # odds of 9 become their square root
    assert edema.state is ABSENT


def test_an_unknown_finding_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'Effusion' is not known; choose from .*Pleural Effusion"):
        drafter().draft(study(tmp_path), overrides={"Effusion": PRESENT})


def test_one_broken_study_among_ten_is_refused_alone(tmp_path: Path) -> None:
    studies = [study(tmp_path, seed) for seed in range(10)]
    whole = drafter()
    expected = list(whole.draft_all(studies, decoding=BRIEF))
    truncated(studies[4])
    results = list(whole.draft_all(studies, decoding=BRIEF))
    error = results[4]
    assert isinstance(error, StudyError)
    assert error.path == studies[4].images[0].path
    kept = [place for place in range(10) if place != 4]
    for place in kept:
        report = results[place]
        assert isinstance(report, Report)
        assert report.provenance.inputs[0].sha256 == studies[place].images[0].sha256
        assert text_of(report) == text_of(expected[place])


def test_a_study_that_cannot_be_read_is_raised_when_it_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"study-0\.png"):
        drafter().draft(truncated(study(tmp_path)))


def test_a_blank_image_is_not_given_to_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = read_study(write_png(tmp_path / "flat.png", np.full((40, 40), 99, dtype=np.uint8)))
    model = drafter()
    monkeypatch.setattr(drafting, "generate_texts", pytest.fail)
    monkeypatch.setattr(ReportModel, "encode_images", pytest.fail)
    report = model.draft(flat)
    assert [section.text for section in report.sections] == [
        "The image is blank, so no finding can be described.",
        "Nondiagnostic image.",
    ]
    assert {finding.state for finding in report.findings} == {UNKNOWN}
    assert "every pixel of the image has the same value" in report.notices[0]


def test_a_blank_study_among_others_keeps_its_place(tmp_path: Path) -> None:
    flat = read_study(write_png(tmp_path / "flat.png", np.zeros((40, 40), dtype=np.uint8)))
    studies = [study(tmp_path, 0), flat, study(tmp_path, 1)]
    reports = list(drafter().draft_all(studies, decoding=BRIEF))
    assert [report.provenance.inputs[0].sha256 for report in reports if isinstance(report, Report)] == [
        each.images[0].sha256 for each in studies
    ]
    assert "blank" in text_of(reports[1])


def test_notices_of_the_pixels_are_notices_of_the_draft(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1023, 64 * 64).astype(np.uint16).reshape(64, 64)  # 10 of 16 bits
    dim = read_study(write_png(tmp_path / "dim.png", ramp))
    notice = "the 16-bit image uses only 10 bits and was scaled by their range"
    assert notice in drafter().draft(dim, decoding=BRIEF).notices
    images = (study(tmp_path, 1).images[0], *dim.images, *dim.images)
    several = replace(dim, series=(replace(dim.series[0], images=images),))
    assert f"image 2, 3: {notice}" in drafter().draft(several, decoding=BRIEF).notices


def record_loaded_images(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that gets the path of each image whose pixels are loaded from now on."""
    paths: list[Path] = []
    read = image_fitting.load_image

    def recording(image: Image, *arguments: Any) -> Any:
        paths.append(image.path)
        return read(image, *arguments)

    monkeypatch.setattr(image_fitting, "load_image", recording)
    return paths


def test_views_outside_the_scope_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, found = record_loaded_images(monkeypatch), two_views(tmp_path, ViewPosition.LATERAL, ViewPosition.PA)
    report = drafter(scope={"views": ("PA", "AP")}).draft(found, decoding=BRIEF)
    assert paths == [found.images[1].path]
    assert report.notices[0] == "1 of 2 images left out: the view is lateral, and the model was made for PA, AP"
    alone = with_images(study(tmp_path, 2), view_position=ViewPosition.PA)
    assert text_of(drafter(scope={"views": ("PA",)}).draft(alone, decoding=BRIEF)) == text_of(report)
    assert [file.sha256 for file in report.provenance.inputs] == [found.images[1].sha256]


def test_a_text_that_does_not_match_the_findings_gets_a_notice(tmp_path: Path) -> None:
    """The text of a random model names no finding, so the present finding is left out."""
    report = drafter_predicting({"Edema": 0.9}).draft(study(tmp_path), decoding=BRIEF)
    assert report.notices[-1].startswith("predicted from the image, but missing or denied in the text: ")
    assert "Edema" in report.notices[-1]


def test_notices_begin_with_what_the_user_set(tmp_path: Path) -> None:
    model = drafter_predicting({"Edema": 0.9})
    report = model.draft(
        two_views(tmp_path, ViewPosition.PA, ViewPosition.AP), decoding=BRIEF, overrides={"Fracture": PRESENT}
    )
    assert report.notices[0] == "set by the user, but missing or denied in the text: Fracture"
    assert report.notices[-1] == "predicted from the image, but missing or denied in the text: Edema"


@pytest.mark.parametrize(
    ("conditioning", "patch_tokens"),
    [("prefix", 2), ("prefix", "all"), ("cross_attention", "all"), ("prefix", 0), ("numbers", 0)],
)
def test_drafts_do_not_depend_on_the_batch_size(conditioning: str, patch_tokens: int | str, tmp_path: Path) -> None:
    studies = [study(tmp_path, seed) for seed in range(4)]
    studies.insert(3, two_views(tmp_path / "two", ViewPosition.PA, ViewPosition.LATERAL))
    model = drafter(conditioning=conditioning, projector={"patch_tokens": patch_tokens, "hidden": 16, "numbers": 4})
    decoding = Decoding(max_tokens=12, candidates=2)
    texts = {
        size: [text_of(report) for report in model.draft_all(studies, decoding=decoding, batch_size=size)]
        for size in (1, 3, 5)
    }
    assert len(set(texts[1])) > 1
    assert texts[1] == texts[3] == texts[5]


def test_conditioning_by_numbers_allows_no_overrides(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="uses no findings and no attributes, so none can be overridden; use a model"):
        drafter(conditioning="numbers").draft(study(tmp_path), overrides={"Edema": FindingState.PRESENT})


def test_the_indication_is_the_studys_own_unless_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[str] = []
    generate_texts = drafting.generate_texts

    def generating(*arguments: Any, prompt_ids: list[list[int]], **others: Any) -> Any:
        prompts.extend(map(tokenizer().decode, prompt_ids))
        return generate_texts(*arguments, prompt_ids=prompt_ids, **others)

    monkeypatch.setattr(drafting, "generate_texts", generating)
    found = with_images(replace(study(tmp_path), indication="Cough."), view_position=ViewPosition.PA)
    for indication in (None, "Fever."):
        drafter().draft(found, indication=indication, decoding=BRIEF)
    drafter().draft(replace(found, indication=None), decoding=BRIEF)
    assert prompts == ["Chest. PA Cough.", "Chest. PA Fever.", "Chest. PA"]


def test_a_request_carries_its_own_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[PromptValues] = []

    def fitting(prompt: Prompt, tokenizer: ReportTokenizer, values: PromptValues, **others: Any) -> FittedPrompt | None:
        prompts.append(values)
        return fit_prompt(prompt, tokenizer, values, **others)

    monkeypatch.setattr(preprocessing, "fit_prompt", fitting)
    model, found = drafter_predicting({"Edema": 0.9}), study(tmp_path)
    request = DraftRequest(found, indication="Fever.", technique="Portable.", overrides={"Edema": ABSENT})
    reports = list(model.draft_all([request, found], decoding=BRIEF))
    states = [by_name(report)["Edema"].state for report in reports if isinstance(report, Report)]
    assert states == [ABSENT, PRESENT]
    assert prompts == [PromptValues(indication="Fever.", technique="Portable."), PromptValues()]


def test_findings_carry_the_thresholds_of_the_model(tmp_path: Path) -> None:
    schema = drafter().schema
    present = [None if name == schema.normal else 0.25 for name in FINDINGS]
    uncertain = [0.2 if name == "Edema" else None for name in FINDINGS]
    thresholds = {"present": present, "uncertain": uncertain, "normal": 0.6}
    found = by_name(drafter_predicting({"Edema": 0.22}, findings=thresholds).draft(study(tmp_path), decoding=BRIEF))
    assert {name: (one.present_threshold, one.uncertain_threshold) for name, one in found.items()} == {
        name: (0.6, None) if name == schema.normal else (0.25, 0.2 if name == "Edema" else None) for name in FINDINGS
    }
    assert [name for name, one in found.items() if one.means_normal] == [schema.normal]


def test_values_beside_a_request_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="a DraftRequest carries its own indication, overrides, locations and attributes"
    ):
        drafter().draft(DraftRequest(study(tmp_path)), indication="Cough.")


EIGHT = Decoding(method="sample", max_tokens=12, candidates=3)


def test_eight_threads_draft_what_one_thread_drafts(tmp_path: Path) -> None:
    studies = [study(tmp_path, seed) for seed in range(8)]
    shared = drafter_predicting({"Edema": 0.9})

    def draft(found: Study) -> tuple[object, ...]:
        report = shared.draft(found, decoding=EIGHT)
        return report.sections, report.findings, report.notices

    one_by_one = [draft(found) for found in studies]
    assert len({str(sections) for sections, _, _ in one_by_one}) == 8
    start = Barrier(8)

    def draft_together(found: Study) -> tuple[object, ...]:
        start.wait()  # all threads generate at the same time
        return draft(found)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(draft_together, studies)) == one_by_one


@pytest.mark.parametrize("method", ["sample", "beam"])
def test_a_draft_does_not_depend_on_order_or_company(method: Any, tmp_path: Path) -> None:
    studies = [study(tmp_path, seed) for seed in range(4)]
    model, decoding = drafter(), Decoding(method=method, beams=2, max_tokens=12, candidates=3)
    texts = [text_of(model.draft(found, decoding=decoding)) for found in studies]
    assert len(set(texts)) == 4
    backwards = [text_of(report) for report in model.draft_all(studies[::-1], decoding=decoding, batch_size=3)]
    assert backwards == texts[::-1]


def test_the_features_of_a_study_are_the_mean_of_its_views(tmp_path: Path) -> None:
    studies = [study(tmp_path, 1), study(tmp_path, 2), two_views(tmp_path, ViewPosition.PA, ViewPosition.LATERAL)]
    one, other, both = drafter().features(studies)
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-6)
    assert not np.allclose(one, other, atol=1e-4)


def test_bfloat16_runs_from_pixels_to_text(tmp_path: Path) -> None:
    folder, found = write_checkpoint(tmp_path / "tiny"), study(tmp_path)
    short = Drafter.load(folder, dtype="bfloat16")
    report, expected = (one.draft(found, decoding=BRIEF) for one in (short, Drafter.load(str(folder), device="cpu")))
    assert report.provenance.decoding["dtype"] == "bfloat16"
    assert {weight.dtype for weight in short.generator._model.parameters()} == {torch.bfloat16}
    rounded = [finding.probability for finding in report.findings if finding.probability is not None]
    exact = [finding.probability for finding in expected.findings if finding.probability is not None]
    assert rounded == pytest.approx(exact, abs=0.05)
    assert rounded != exact
    assert short.attention_map(found).weights["Edema"].sum() == pytest.approx(1, abs=0.05)


def test_a_missing_device_is_refused_before_the_weights_are_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"device 'cuda:99' is not available on this machine; choose auto, cpu"):
        Drafter.load(tmp_path, device="cuda:99")


def test_source_date_epoch_makes_documents_equal_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    documents = {format_json(drafter().draft(study(tmp_path), decoding=BRIEF)) for _ in range(2)}
    assert len(documents) == 1
    assert '"created": "2023-11-14T22:13:20+00:00"' in documents.pop()


@pytest.mark.parametrize("part", ["decoder", "projector"])
def test_weights_that_overflow_end_in_a_sentence(part: str, tmp_path: Path) -> None:
    """Every weight is finite, so that the checkpoint loads, but sums of their products are not."""
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS}))
    with torch.no_grad():
        for parameter in getattr(model, part).parameters():
            parameter.fill_(1e38)
    with pytest.raises(CheckpointError, match="gives values that are not finite; use another checkpoint"):
        drafter(model).draft(study(tmp_path), decoding=BRIEF)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_study_whose_predictions_are_not_finite_does_not_stop_the_others(tmp_path: Path, batch_size: int) -> None:
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS}))
    studies = [study(tmp_path, seed) for seed in range(3)]
    calls: list[int] = []

    def overflow_once(*arguments: object) -> torch.Tensor | None:
        """Replace the features of the second study."""
        calls.append(1)
        features = arguments[-1]
        assert isinstance(features, torch.Tensor)
        return torch.full_like(features, torch.inf) if len(calls) == 2 else None

    model.encoder.register_forward_hook(overflow_once)
    first, refused, last = drafter(model).draft_all(studies, decoding=BRIEF, batch_size=batch_size)
    assert isinstance(first, Report)
    assert isinstance(last, Report)
    assert isinstance(refused, StudyError)
    assert str(refused).startswith(f"{studies[1].path}: the finding, attribute or location head of model 'tiny' gives ")
    assert "values that are not finite for this study; check its images" in str(refused)


def test_loading_names_the_folder_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="absent: no such checkpoint folder"):
        Drafter.load(tmp_path / "absent")
    monkeypatch.setattr(config_file, "EMBEDDED", write_checkpoint(tmp_path / "embedded"))
    assert isinstance(Drafter.load().draft(study(tmp_path), decoding=BRIEF), Report)


DRAFT_ANEW = """
import sys
from pathlib import Path
from report_gen.drafting import Drafter, DraftRequest
from report_gen.generation import Decoding
from report_gen.outputs import format_json
from report_gen.imaging import read_study
report = Drafter.load(Path(sys.argv[1])).draft(
    read_study(Path(sys.argv[2])), decoding=Decoding(max_tokens=12, method="sample", seed=3)
)
sys.stdout.write(format_json(report))
"""


def test_another_process_drafts_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    folder, found = write_checkpoint(tmp_path / "tiny"), study(tmp_path)
    here = format_json(Drafter.load(folder).draft(found, decoding=Decoding(max_tokens=12, method="sample", seed=3)))
    there = subprocess.run(
        [sys.executable, "-c", DRAFT_ANEW, str(folder), str(found.images[0].path)], capture_output=True, check=True
    )
    assert there.stdout.decode() == here


def test_a_copy_of_a_drafter_packs_its_own_weights(tmp_path: Path) -> None:
    """A drafter can be pickled after its first draft, and a copy follows later changes of its own weights."""
    one, other = drafter(), drafter(tiny_model(tiny_config(findings={"present": THRESHOLDS}), seed=1))
    found = study(tmp_path)
    first, expected = (used.draft(found, decoding=BRIEF) for used in (one, other))
    assert first.sections != expected.sections
    assert pickle.loads(pickle.dumps(one)).draft(found, decoding=BRIEF).sections == first.sections  # noqa: S301
    changed = copy.deepcopy(one)
    changed.generator._model.load_state_dict(other.generator._model.state_dict())
    assert changed.draft(found, decoding=BRIEF).sections == expected.sections
    assert one.draft(found, decoding=BRIEF).sections == first.sections
