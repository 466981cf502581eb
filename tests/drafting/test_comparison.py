"""Drafts with a prior study: the section COMPARISON, the changes of findings, and everything that may be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator

from report_gen.config import ChangeConfig, ScopeConfig
from report_gen.drafting import Drafter, DraftRequest, PriorStudy
from report_gen.drafting import checkpoint_generator as drafting
from report_gen.drafting.change_sentences import add_changes, change_sentence, describe_prior_study
from report_gen.drafting.prior_loading import add_prior
from report_gen.errors import StudyError
from report_gen.generation import Decoding, GeneratedText
from report_gen.imaging import load_pixels, read_study
from report_gen.labeling import chest_xray, label_findings
from report_gen.model import Checkpoint
from report_gen.outputs import format_json
from report_gen.outputs.json import json_schema
from report_gen.phantom.dicom import draw_chest
from report_gen.prompting import Prompt
from report_gen.reading.plain_reports import cut_plain_report
from report_gen.records import (
    ChangeState,
    FindingState,
    Report,
    SectionName,
    Study,
    ViewPosition,
    parse_report,
    view_offsets,
)
from tests.builders import FINDINGS, SIZE, THRESHOLDS, tiny_config, tiny_model, tokenizer, write_png
from tests.builders import study as picture
from tests.dicom_files import write_dicom

EFFUSION = "Pleural Effusion"
BRIEF = Decoding(max_tokens=12)
CHANGES = ChangeConfig(
    trained=tuple(name == EFFUSION for name in FINDINGS),
    bias=(0.0,) * len(FINDINGS),
    persistence=(0.0,) * len(FINDINGS),
    threshold=0.8,
)


def chest(folder: Path, day: int, *, effusion: bool, **attributes: Any) -> Study:
    """Return a drawn chest radiograph of a day in January 2024, with or without an effusion."""
    pixels = draw_chest(4 * SIZE, 4 * SIZE, seed=day, effusion="left" if effusion else None)
    values = {"StudyDate": f"202401{day:02}", "StudyInstanceUID": f"1.{day}", "SOPInstanceUID": f"1.{day}.1"}
    values |= {"BodyPartExamined": "CHEST", "PatientID": "SECRET", "BitsStored": 12}
    return read_study(write_dicom(folder / f"{day}.dcm", pixels, **values | attributes))


@pytest.fixture(scope="module")
def drafter(tmp_path_factory: pytest.TempPathFactory) -> Drafter:
    """A drafter whose finding head separates drawn chests with an effusion from those without, with odds of 20."""
    return make_drafter(tmp_path_factory.mktemp("chests"), changes=CHANGES.model_dump())


def make_drafter(folder: Path, *, prompt: str = "Chest.", **changes: Any) -> Drafter:
    model = tiny_model(tiny_config(**{"findings": {"present": THRESHOLDS}} | changes))
    made = Drafter.from_checkpoint(Checkpoint(model, tokenizer(), Prompt(prompt), "ab" * 32))
    number = FINDINGS.index(EFFUSION)
    features = []
    for effusion in (False, True):
        days = range(20, 26)
        found = [made.generator._preprocessor.load(DraftRequest(chest(folder, day, effusion=effusion))) for day in days]
        batch = made.generator._preprocessor.collate([one for one in found if not isinstance(one, StudyError)])
        with torch.no_grad():
            features.append(model.encode_images(*batch).finding_features[:, number].mean(0))
    direction = features[1] - features[0]
    with torch.no_grad():
        weight = 2 * np.log(20) * direction / direction.square().sum()
        model.projector.finding_weight.zero_()
        model.projector.finding_weight[number] = weight
        model.projector.finding_bias.fill_(-3.0)
        model.projector.finding_bias[number] = -(weight * (features[0] + features[1]) / 2).sum()
    return made


def draft(drafter: Drafter, study: Study, *priors: PriorStudy, **values: Any) -> Report:
    return drafter.draft(DraftRequest(study, priors=priors, **values), decoding=BRIEF)


def text_of(report: Report, name: SectionName) -> str:
    return " ".join(section.text for section in report.sections if section.name is name)


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        (False, True, "The pleural effusion is new since the prior study."),
        (True, True, "The pleural effusion is again seen."),
        (True, False, "The previously present pleural effusion has resolved."),
        (False, False, ""),
    ],
)
def test_a_draft_states_the_change_of_a_drawn_effusion(
    drafter: Drafter, tmp_path: Path, before: bool, now: bool, sentence: str
) -> None:
    study, prior = chest(tmp_path, 13, effusion=now), chest(tmp_path, 1, effusion=before)
    alone, report = draft(drafter, study), draft(drafter, study, PriorStudy(prior))
    assert report.sections[0].name is SectionName.COMPARISON
    no_change = "" if sentence else " Whether a finding has changed could not be determined."
    assert text_of(report, SectionName.COMPARISON) == f"Chest radiograph, 12 days earlier.{no_change}"
    findings = text_of(alone, SectionName.FINDINGS)
    assert text_of(report, SectionName.FINDINGS) == " ".join(filter(None, (findings, sentence)))
    assert text_of(report, SectionName.IMPRESSION) == text_of(alone, SectionName.IMPRESSION)
    comparison = report.provenance.comparison
    assert comparison is not None
    assert (comparison.days_earlier, comparison.study_instance_uid, comparison.with_report) == (12, "1.1", False)
    assert [one.sha256 for one in comparison.inputs] == [prior.images[0].sha256]
    assert len(comparison.changes) == (1 if sentence else 0)
    assert (comparison.findings[EFFUSION] is FindingState.PRESENT) == before
    notice = "1 sentence was added by rule: changes since the prior study, from the findings of both"
    assert [one for one in report.notices if "added by rule" in one] == [notice] * bool(sentence)
    if sentence:
        added = next(section for section in report.sections if section.name is SectionName.FINDINGS).sentences[-1]
        assert (added.text, added.confidence) == (sentence, None)
    assert SectionName.COMPARISON not in [section.name for section in alone.sections]
    assert alone.provenance.comparison is None


def test_the_documents_of_a_comparison_are_valid_and_have_no_date(drafter: Drafter, tmp_path: Path) -> None:
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    document = format_json(draft(drafter, study, PriorStudy(prior)))
    Draft202012Validator(json_schema()).validate(json.loads(document))
    provenance = json.loads(document)["provenance"]
    assert provenance["comparison"]["changes"] == {EFFUSION: "new"}
    assert not any(word in document for word in ("20240101", "20240113", "2024-01", "SECRET"))


def test_the_latest_of_several_priors_is_compared(drafter: Drafter, tmp_path: Path) -> None:
    study = chest(tmp_path, 13, effusion=True)
    priors = [PriorStudy(chest(tmp_path, day, effusion=day == 9)) for day in (1, 9, 5)]
    report = draft(drafter, study, *priors)
    assert text_of(report, SectionName.COMPARISON) == "Chest radiograph, 4 days earlier."
    assert text_of(report, SectionName.FINDINGS).endswith("The pleural effusion is again seen.")
    assert "of 3 prior studies only the latest is used" in report.notices


def test_a_model_without_changes_compares_nothing(tmp_path: Path) -> None:
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    report = draft(make_drafter(tmp_path / "chests"), study, PriorStudy(prior))
    assert "the prior study is not compared: the model does not read earlier studies" in report.notices
    assert text_of(report, SectionName.COMPARISON) == ""
    assert report.provenance.comparison is None


def test_only_the_study_with_a_wrong_prior_is_refused(drafter: Drafter, tmp_path: Path) -> None:
    study, stranger = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False, PatientID="OTHER")
    requests = [DraftRequest(study, priors=(PriorStudy(stranger),)), DraftRequest(study)]
    refused, drafted = drafter.draft_all(requests, decoding=BRIEF)
    assert isinstance(refused, StudyError)
    assert "it shows another patient (different Patient ID)" in refused.reason
    assert isinstance(drafted, Report)


def blank(folder: Path) -> Study:
    return chest_with(folder, np.full((SIZE, SIZE), 7, dtype=np.uint16))


def truncated(folder: Path) -> Study:
    study = chest(folder, 1, effusion=False)
    path = study.images[0].path
    path.write_bytes(path.read_bytes()[:-100])
    return study


def chest_with(folder: Path, pixels: Any) -> Study:
    values = {"StudyDate": "20240101", "StudyInstanceUID": "1.1", "SOPInstanceUID": "1.1.1", "PatientID": "SECRET"}
    values |= {"BodyPartExamined": "CHEST"}
    return read_study(write_dicom(folder / "1.dcm", pixels, BitsStored=12, **values))


def copy(folder: Path) -> Study:
    """The image of the study with other UIDs and an earlier date."""
    return chest_with(folder, draw_chest(4 * SIZE, 4 * SIZE, seed=13, effusion="left"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (blank, "every pixel of its image has the same value"),
        (truncated, "truncated"),
        (copy, "an image of it has the same pixels as one of the study"),
    ],
)
def test_a_prior_that_cannot_be_compared_gets_a_notice(
    drafter: Drafter, tmp_path: Path, make: Callable[[Path], Study], reason: str
) -> None:
    study = chest(tmp_path, 13, effusion=True)
    report = draft(drafter, study, PriorStudy(make(tmp_path)))
    (notice,) = (one for one in report.notices if one.startswith("the prior study is not compared: "))
    assert reason in notice
    assert report.sections == draft(drafter, study).sections


def test_a_prior_outside_the_scope_is_not_compared(tmp_path: Path) -> None:
    model = make_drafter(tmp_path / "chests", changes=CHANGES.model_dump(), scope={"max_age": 90.0})
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False, PatientAge="095Y")
    report = draft(model, study, PriorStudy(prior))
    (notice,) = (one for one in report.notices if one.startswith("the prior study is not compared: "))
    assert notice.endswith("the patient is older than 90 years, and the model was made for younger patients")


def test_the_report_of_the_prior_is_known(drafter: Drafter, tmp_path: Path) -> None:
    """The image shows no effusion, but the report of the radiologist states one: it is not new."""
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    stated = cut_plain_report("FINDINGS: Small pleural effusion.")
    report = draft(drafter, study, PriorStudy(prior, report=stated))
    comparison = report.provenance.comparison
    assert comparison is not None
    assert (comparison.changes, comparison.with_report) == ({EFFUSION: ChangeState.UNCHANGED}, True)
    assert comparison.findings[EFFUSION] is FindingState.PRESENT
    denied = cut_plain_report("FINDINGS: No pleural effusion.")
    report = draft(drafter, chest(tmp_path, 14, effusion=True), PriorStudy(prior, report=denied))
    assert report.provenance.comparison is not None
    assert report.provenance.comparison.changes == {EFFUSION: ChangeState.NEW}
    assert report.provenance.comparison.findings[EFFUSION] is FindingState.ABSENT


def test_a_state_that_the_reader_sets_is_known(drafter: Drafter, tmp_path: Path) -> None:
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=True)
    report = draft(drafter, study, PriorStudy(prior), overrides={EFFUSION: FindingState.ABSENT})
    assert report.provenance.comparison is not None
    assert report.provenance.comparison.changes == {EFFUSION: ChangeState.RESOLVED}


def test_the_reader_may_write_the_comparison(drafter: Drafter, tmp_path: Path) -> None:
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    for priors in ((), (PriorStudy(prior),)):
        report = draft(drafter, study, *priors, comparison="Radiograph of May.\nOutside CT.")
        assert text_of(report, SectionName.COMPARISON) == "Radiograph of May. Outside CT."


def test_a_comparison_of_the_reader_ends_before_the_sentence_of_the_draft(drafter: Drafter, tmp_path: Path) -> None:
    study, prior = chest(tmp_path, 13, effusion=False), chest(tmp_path, 1, effusion=False)
    report = draft(drafter, study, PriorStudy(prior), comparison="Radiograph of May")
    expected = "Radiograph of May. Whether a finding has changed could not be determined."
    assert text_of(report, SectionName.COMPARISON) == expected


def test_pictures_are_compared_with_notices(drafter: Drafter, tmp_path: Path) -> None:
    found = [
        read_study(write_png(tmp_path / f"{day}.png", (load_pixels(one.images[0]) * 255).astype(np.uint8)))
        for day, one in ((day, chest(tmp_path, day, effusion=day > 5)) for day in (1, 13))
    ]
    report = draft(drafter, found[1], PriorStudy(found[0], days_earlier=1))
    assert text_of(report, SectionName.COMPARISON) == "Study, 1 day earlier."
    assert text_of(report, SectionName.FINDINGS).endswith("The pleural effusion is new since the prior study.")
    assert "the Patient IDs do not show that the prior study is of the same patient; check it" in report.notices


def test_a_batch_gives_the_same_drafts(drafter: Drafter, tmp_path: Path) -> None:
    prior = PriorStudy(chest(tmp_path, 1, effusion=False))
    studies = [chest(tmp_path, day, effusion=day > 14) for day in (13, 14, 15)]
    requests = [DraftRequest(one, priors=priors) for one, priors in zip(studies, ((prior,), (), (prior,)), strict=True)]
    alone = [drafter.draft(one, decoding=BRIEF) for one in requests]
    together = list(drafter.draft_all(requests, decoding=BRIEF, batch_size=3))
    for one, other in zip(alone, together, strict=True):
        assert isinstance(other, Report)
        assert [section.text for section in one.sections] == [section.text for section in other.sections]
        assert one.provenance.comparison == other.provenance.comparison


# ---- what the decoder writes about an earlier study -----------------------------------------------------------------


GENERATED = "FINDINGS: Stable cardiomegaly. There is a new small pleural effusion. IMPRESSION: No interval change."


@pytest.mark.parametrize(
    ("with_prior", "expected", "removed"),
    [
        (False, "Cardiomegaly. There is a small pleural effusion.", 3),
        (
            True,
            "Cardiomegaly. There is a new small pleural effusion. The pleural effusion is new since the prior study.",
            2,
        ),
    ],
)
def test_comparisons_of_the_decoder_stay_only_if_the_changes_support_them(
    drafter: Drafter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_prior: bool, expected: str, removed: int
) -> None:
    monkeypatch.setattr(drafting, "generate_texts", lambda *_, **__: [GeneratedText(parse_report(GENERATED), 0.5)])
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    report = draft(drafter, study, *([PriorStudy(prior)] if with_prior else []))
    assert text_of(report, SectionName.FINDINGS) == expected
    assert text_of(report, SectionName.IMPRESSION) == ""
    notice = f"{removed} sentences were shortened or removed: the comparison with an earlier study has no support"
    assert notice in report.notices


# ---- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("finding", chest_xray().stated)
@pytest.mark.parametrize("change", ChangeState)
def test_a_composed_sentence_states_its_finding_and_no_other(finding: str, change: ChangeState) -> None:
    states = label_findings(change_sentence(finding, change))
    implied = {"Enlarged Cardiomediastinum", "Lung Opacity"}  # cardiomegaly and consolidation are of these kinds
    stated = {name for name, state in states.items() if state is not FindingState.NOT_MENTIONED} - {"No Finding"}
    assert stated - implied <= {finding}
    if change is not ChangeState.IMPROVED:
        assert states[finding] is (FindingState.PRESENT if change.is_present else FindingState.ABSENT)


def test_changes_follow_the_findings_and_precede_the_impression() -> None:
    changes = {EFFUSION: ChangeState.NEW}
    sections = add_changes(parse_report("IMPRESSION: Effusion."), changes)
    assert [section.name for section in sections] == [SectionName.FINDINGS, SectionName.IMPRESSION]
    assert add_changes(sections, {}) == sections


@pytest.mark.parametrize(
    ("attributes", "days", "expected"),
    [
        ({}, 12, "Chest radiograph, 12 days earlier."),
        ({}, 1, "Chest radiograph, 1 day earlier."),
        ({}, 0, "Chest radiograph, earlier on the same day."),
        ({}, None, "Earlier chest radiograph."),
        ({"Modality": "CT", "BodyPartExamined": "HEAD"}, 3, "Head CT, 3 days earlier."),
        ({"Modality": "XA", "BodyPartExamined": None}, 3, "Chest study, 3 days earlier."),
    ],
)
def test_the_prior_in_words(tmp_path: Path, attributes: dict[str, Any], days: int | None, expected: str) -> None:
    scope = ScopeConfig(modalities=("CR", "DX"), body_parts=("chest",))
    assert describe_prior_study(chest(tmp_path, 1, effusion=False, **attributes), days, scope) == expected


def test_a_picture_is_named_by_the_scope_of_the_model(tmp_path: Path) -> None:
    scope = ScopeConfig(modalities=("CR", "DX", "RG"), body_parts=("chest",))
    assert describe_prior_study(picture(tmp_path), 12, scope) == "Chest radiograph, 12 days earlier."
    assert describe_prior_study(picture(tmp_path), 12, ScopeConfig()) == "Study, 12 days earlier."


def test_the_prompt_names_the_prior_and_quotes_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = "{study_description}|{admitting_diagnoses}|{comparison}|{prior_report}"
    model = make_drafter(tmp_path / "chests", prompt=prompt, changes=CHANGES.model_dump())
    prompts: list[str] = []
    generate = drafting.generate_texts

    def generating(*arguments: Any, **options: Any) -> list[GeneratedText]:
        prompts.extend(tokenizer().decode(ids) for ids in options["prompt_ids"])
        return generate(*arguments, **options)

    monkeypatch.setattr(drafting, "generate_texts", generating)
    described = {"StudyDescription": "Chest PA", "AdmittingDiagnosesDescription": "Fever"}
    study, prior = chest(tmp_path, 13, effusion=True, **described), chest(tmp_path, 1, effusion=False)
    report = cut_plain_report("COMPARISON: None. FINDINGS: Clear lungs. IMPRESSION: Normal.")
    draft(model, study, PriorStudy(prior, report=report))
    draft(model, replace(study, admitting_diagnoses=None))
    assert prompts == ["Chest PA|Fever|Chest radiograph, 12 days earlier.|Clear lungs. Normal.", "Chest PA|||"]


# ---- models that read the images of a prior study -----------------------------------------------------------------


def test_the_images_of_a_prior_are_further_views_with_their_days(tmp_path: Path) -> None:
    """A model that was trained with prior images reads them; another one with the same weights does not."""
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    found: dict[tuple[bool, int | None], list[float | None]] = {}
    for reads_priors in (False, True):
        sequence = {"kind": "attention", "width": 8, "heads": 2, "layers": 1, "priors": reads_priors}
        model = make_drafter(tmp_path / "chests", changes=CHANGES.model_dump(), sequence=sequence)
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in model.generator._model.sequence.parameters():  # type: ignore[union-attr]
                parameter.copy_(torch.randn_like(parameter))
        for days in (None, 12, 365):
            report = draft(model, study, *([] if days is None else [PriorStudy(prior, days_earlier=days)]))
            found[reads_priors, days] = [finding.probability for finding in report.findings]
            assert [one.sha256 for one in report.provenance.inputs] == [study.images[0].sha256]
            assert not any("left out" in notice for notice in report.notices)
    assert found[False, None] == found[False, 12] == found[False, 365] == found[True, None]
    assert found[True, None] != found[True, 12] != found[True, 365]


def test_the_prompt_names_the_views_of_the_study_only(tmp_path: Path) -> None:
    loaded = make_drafter(tmp_path / "chests").generator._preprocessor.load(
        DraftRequest(chest(tmp_path, 13, effusion=True))
    )
    assert not isinstance(loaded, StudyError)
    prior = replace(loaded, views=(ViewPosition.LATERAL,), pixel_digests=("of another image",))
    sequence = {"kind": "attention", "width": 8, "heads": 2, "priors": True}
    request = replace(loaded.request, priors=(PriorStudy(chest(tmp_path, 1, effusion=False)),))
    joined, _ = add_prior(replace(loaded, request=request), lambda _: prior, tiny_config(sequence=sequence))
    assert joined.views == (loaded.views[0], ViewPosition.LATERAL)
    assert joined.own_views == loaded.views
    assert [offset.days for offset in view_offsets(joined.images)] == [0, -12]
    assert joined.patch_features.shape[0] == joined.pixel_values.shape[0] == len(joined.placements) == 2


@pytest.mark.parametrize(
    ("before", "now", "text", "expected"),
    [
        ("No pleural effusion.", "present", "There is a new pleural effusion.", "There is a new pleural effusion."),
        ("No pleural effusion.", "present", "The pleural effusion is larger.", ""),
        ("Pleural effusion.", "present", "The pleural effusion is larger.", "The pleural effusion is larger."),
        ("Pleural effusion.", "present", "The pleural effusion is smaller.", "The pleural effusion is smaller."),
        ("Pleural effusion.", "present", "The pleural effusion is unchanged.", "The pleural effusion is unchanged."),
        ("Pleural effusion.", "present", "There is a new pleural effusion.", "There is a pleural effusion."),
        ("Pleural effusion.", "absent", "The pleural effusion has resolved.", "The pleural effusion has resolved."),
        ("Pleural effusion.", "absent", "The pleural effusion is unchanged.", ""),
    ],
)
def test_a_model_that_reads_priors_states_changes_that_agree_with_the_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, now: str, text: str, expected: str
) -> None:
    model = make_drafter(tmp_path / "chests", sequence={"kind": "attention", "width": 8, "heads": 2, "priors": True})
    monkeypatch.setattr(
        drafting, "generate_texts", lambda *_, **__: [GeneratedText(parse_report(f"FINDINGS: {text}"), 0.5)]
    )
    study, prior = chest(tmp_path, 13, effusion=True), chest(tmp_path, 1, effusion=False)
    report = draft(
        model,
        study,
        PriorStudy(prior, report=cut_plain_report(f"FINDINGS: {before}")),
        overrides={EFFUSION: FindingState(now)},
    )
    assert text_of(report, SectionName.FINDINGS) == expected
    comparison = report.provenance.comparison
    assert comparison is not None
    assert (comparison.changes, comparison.method.partition(";")[0]) == ({}, "states of the findings in both studies")


def test_ten_wrong_priors_stop_no_other_study(drafter: Drafter, tmp_path: Path) -> None:
    """Each is refused with one sentence that names both studies, or drafted with a notice where only a file is bad."""
    study = chest(tmp_path, 13, effusion=True, PatientBirthDate="19400101")
    right, other_report = PriorStudy(chest(tmp_path / "right", 1, effusion=False)), cut_plain_report("Clear.", "1.77")
    wrong = {
        "it shows another patient (different Patient ID)": PriorStudy(wrong_chest(tmp_path, 1, PatientID="OTHER")),
        "it shows another patient (different birth date)": PriorStudy(
            wrong_chest(tmp_path, 2, PatientBirthDate="19900101")
        ),
        "it is the same study": PriorStudy(study),
        "it is 1 day later": PriorStudy(wrong_chest(tmp_path, 14)),
        "the headers do not state which is earlier": PriorStudy(wrong_chest(tmp_path, 3, StudyDate="")),
        "the headers do not state which": PriorStudy(wrong_chest(tmp_path, 4, StudyDate="20240113")),
        "its modality differs": PriorStudy(wrong_chest(tmp_path, 5, Modality="CT")),
        "its header names hand": PriorStudy(wrong_chest(tmp_path, 6, BodyPartExamined="HAND")),
        "its report belongs to another study": PriorStudy(wrong_chest(tmp_path, 7), report=other_report),
    }
    requests = [DraftRequest(study, priors=(prior,)) for prior in wrong.values()]
    bad_file = DraftRequest(study, priors=(PriorStudy(truncated(tmp_path / "truncated")),))
    *refused, noticed, drafted = drafter.draft_all(
        [*requests, bad_file, DraftRequest(study, priors=(right,))], decoding=BRIEF, batch_size=4
    )
    for reason, error in zip(wrong, refused, strict=True):
        assert isinstance(error, StudyError)
        assert f": {reason}" in str(error)
        assert "\n" not in str(error)
    assert isinstance(noticed, Report)
    assert any("the prior study is not compared: " in notice and "truncated" in notice for notice in noticed.notices)
    assert isinstance(drafted, Report)
    assert drafted.provenance.comparison is not None


def wrong_chest(folder: Path, day: int, **attributes: Any) -> Study:
    return chest(folder / "wrong", day, effusion=False, **{"PatientBirthDate": "19400101"} | attributes)
