"""What the recognizer sees in an image refuses a study, leaves an image out, or becomes a notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from report_gen.config import ImageClass, ScopeConfig
from report_gen.drafting import Drafter, preprocessing
from report_gen.drafting.image_scope import apply_recognition
from report_gen.errors import ScopeError
from report_gen.generation import Decoding
from report_gen.imaging import read_studies, read_study
from report_gen.model import Recognition
from report_gen.prompting import Prompt, PromptValues
from report_gen.records import Image, Report, ViewPosition
from report_gen.tokenizer import ReportTokenizer
from tests.builders import noise_image, study, tiny_checkpoint, tiny_config
from tests.dicom_files import write_dicom

FRONTAL = ScopeConfig(views=("PA", "AP"))
BRIEF = Decoding(max_tokens=8, candidates=1)


def images(*views: ViewPosition) -> list[Image]:
    return [
        Image(path=Path("s", f"{number}.png"), sha256=str(number), rows=8, columns=8, view_position=view)
        for number, view in enumerate(views)
    ]


def apply(
    views: list[ViewPosition],
    classes: list[ImageClass],
    *,
    force: bool = False,
    confirmed: tuple[int, ...] = (),
    scope: ScopeConfig = FRONTAL,
) -> Any:
    given = images(*views)
    seen = [Recognition(image_class, 0.9, 1.7) for image_class in classes]
    keys = {given[index].key for index in confirmed}
    return apply_recognition(given, seen, confirmed=keys, scope=scope, force=force)


UNKNOWN, PA, LATERAL = ViewPosition.UNKNOWN, ViewPosition.PA, ViewPosition.LATERAL


def test_a_foreign_image_is_refused_or_forced() -> None:
    with pytest.raises(
        ScopeError, match=r"s/0\.png: outside .* \[image\]: the image does not look like .*; force=True"
    ):
        apply([UNKNOWN], ["foreign"])
    forced = apply([UNKNOWN], ["foreign"], force=True)
    assert forced.kept == [0]
    assert forced.notices == (
        "FORCED DRAFT: outside the scope of the model [image]: the image was not recognized as an image that the model "
        "was made for (image recognizer: score 1.70, limit 1)",
    )


def test_a_forced_draft_names_the_studies_that_the_model_was_made_for() -> None:
    scope = ScopeConfig(modalities=("CR", "DX"), body_parts=("chest",))
    (notice,) = apply([UNKNOWN], ["foreign"], force=True, scope=scope).notices
    assert "the image was not recognized as a chest radiograph (image recognizer: score 1.70, limit 1)" in notice


def test_a_foreign_image_is_left_out_of_a_study() -> None:
    left = apply([UNKNOWN, UNKNOWN], ["foreign", "upright"])
    assert left.kept == [1]
    assert left.notices == (
        "1 of 2 images left out: the image does not look like the images that the model was trained on",
    )


@pytest.mark.parametrize(
    ("scope", "stated"),
    [(FRONTAL, "a modality"), (FRONTAL.model_copy(update={"body_parts": ("chest",)}), "a modality and a body part")],
)
def test_the_header_has_precedence_over_the_appearance(scope: ScopeConfig, stated: str) -> None:
    kept = apply([PA], ["foreign"], confirmed=(0,), scope=scope)
    assert kept.kept == [0]
    assert f"although its header states {stated} of the scope" in kept.notices[0]


@pytest.mark.parametrize(
    ("image_class", "words"),
    [
        ("rotated_90", "rotated by 90 degrees counterclockwise"),
        ("rotated_180", "upside down"),
        ("rotated_270", "rotated by 90 degrees clockwise"),
        ("inverted", "inverted gray levels"),
    ],
)
def test_a_changed_image_is_drafted_with_a_notice(image_class: ImageClass, words: str) -> None:
    seen = apply([PA, PA], [image_class, image_class])
    assert seen.kept == [0, 1]
    assert len(seen.notices) == 1
    assert words in seen.notices[0]


def test_a_lateral_image_gets_its_view() -> None:
    with pytest.raises(ScopeError, match=r"\[view\]: the image appears to be a lateral view"):
        apply([UNKNOWN], ["lateral"])
    beside = apply([UNKNOWN, PA], ["lateral", "upright"])
    assert beside.kept == [1]
    known = apply_recognition(
        images(UNKNOWN), [Recognition("lateral", 0.9)], confirmed=(), scope=ScopeConfig(), force=False
    )
    assert known.images[0].view_position is LATERAL
    assert known.notices == ()


def test_a_lateral_image_whose_header_states_a_frontal_view_gets_a_notice() -> None:
    assert apply([PA], ["lateral"]).notices == (
        "the image appears to be a lateral view, but its header states another view",
    )


def drafter_seeing(*classes: ImageClass) -> Drafter:
    """A drafter whose recognizer sees these classes, image by image."""
    recognizer = {"classes": ("upright", "inverted", "foreign"), "grid": 1, "components": 1, "max_distance": 1.0}
    checkpoint = tiny_checkpoint(tiny_config(scope={"recognizer": recognizer}))
    remaining = iter(classes)

    def recognize(patch_features: torch.Tensor) -> list[Recognition]:
        return [Recognition(next(remaining), 0.9) for _ in patch_features]

    assert checkpoint.model.recognizer is not None
    object.__setattr__(checkpoint.model.recognizer, "recognize", recognize)
    return Drafter.from_checkpoint(checkpoint)


def test_a_refused_study_does_not_stop_the_others(tmp_path: Path) -> None:
    studies = [study(tmp_path, seed) for seed in range(3)]
    results = list(drafter_seeing("upright", "foreign", "inverted").draft_all(studies, decoding=BRIEF))
    assert isinstance(results[0], Report)
    assert isinstance(results[1], ScopeError)
    assert isinstance(results[2], Report)
    assert results[1].path == studies[1].images[0].path
    assert any("inverted gray levels" in notice for notice in results[2].notices)


def test_a_forced_study_is_drafted_with_a_notice(tmp_path: Path) -> None:
    (report,) = drafter_seeing("foreign").draft_all([study(tmp_path)], decoding=BRIEF, force=True)
    assert isinstance(report, Report)
    assert report.notices[0].startswith("FORCED DRAFT: outside the scope of the model [image]")
    (same,) = drafter_seeing("upright").draft_all([study(tmp_path)], decoding=BRIEF)
    assert isinstance(same, Report)
    assert same.sections == report.sections


def test_the_control_of_blank_images_is_not_refused(tmp_path: Path) -> None:
    (report,) = drafter_seeing().draft_all([study(tmp_path)], decoding=BRIEF, blank=True)
    assert isinstance(report, Report)


def test_the_recognizer_leaves_no_trace_of_an_image_that_it_leaves_out(tmp_path: Path) -> None:
    """Provenance and random generator depend on the image that the model got only."""
    one, other = study(tmp_path, 1), study(tmp_path, 2)
    both = replace(one, series=(*other.series, *one.series))
    sampled = replace(BRIEF, method="sample")
    (alone,) = drafter_seeing("upright").draft_all([one], decoding=sampled)
    (beside,) = drafter_seeing("foreign", "upright").draft_all([both], decoding=sampled)
    assert isinstance(alone, Report)
    assert isinstance(beside, Report)
    assert beside.notices[0].startswith("1 of 2 images left out")
    assert beside.provenance.inputs == alone.provenance.inputs
    assert [file.sha256 for file in beside.provenance.inputs] == [one.images[0].sha256]
    assert beside.sections == alone.sections


def test_the_header_of_an_image_that_is_left_out_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise_image(1, size=64)
    hand = {"BodyPartExamined": "HAND", "ReasonForTheRequestedProcedure": "Hand pain.", "SeriesInstanceUID": "1.1"}
    chest = {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "SeriesInstanceUID": "1.2"}
    write_dicom(tmp_path / "hand.dcm", pixels, SOPInstanceUID="1.1.1", SeriesNumber=1, **hand)
    write_dicom(tmp_path / "chest.dcm", pixels, SOPInstanceUID="1.2.1", SeriesNumber=2, **chest)
    indications = []
    fit = preprocessing.fit_prompt

    def fitting(prompt: Prompt, tokenizer: ReportTokenizer, values: PromptValues, **others: Any) -> Any:
        indications.append(values.indication)
        return fit(prompt, tokenizer, values, **others)

    monkeypatch.setattr(preprocessing, "fit_prompt", fitting)
    drafter = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(scope={"body_parts": ("chest",)})))
    report = drafter.draft(read_study(tmp_path), decoding=BRIEF)
    assert report.notices[0] == "1 of 2 images left out: the header names hand, and the model was made for chest"
    assert [file.sop_instance_uid for file in report.provenance.inputs] == ["1.2.1"]
    assert indications == [""]


def test_a_draft_says_that_an_image_cannot_be_read(tmp_path: Path) -> None:
    pixels = noise_image(1, size=64)
    write_dicom(tmp_path / "a.dcm", pixels, SOPInstanceUID="1.1.1", ViewPosition="PA")
    broken = write_dicom(tmp_path / "b.dcm", pixels, SOPInstanceUID="1.1.2", ViewPosition="PA")
    broken.write_bytes(broken.read_bytes()[:-1000])
    found = read_studies(tmp_path)
    assert [error.path for error in found.refused] == [broken]
    report = Drafter.from_checkpoint(tiny_checkpoint()).draft(found.studies[0], decoding=BRIEF)
    assert report.notices[0] == "1 of 2 images cannot be read and is not in this draft"
