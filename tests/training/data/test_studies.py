"""Corpora as training uses them: cleaned texts, mixed labels, augmented texts, held-out patients."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.corpus_study import CorpusStudy
from report_gen_training.data.patient_split import assign_splits
from report_gen_training.data.studies import open_corpus, read_studies
from report_gen_training.recipe.schema import Recipe
from scipy.special import expit, logit

from report_gen.auditing import mentions_side
from report_gen.corpora import Example
from report_gen.corpora.examples import build_dataset
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray, locate_findings
from report_gen.records import Side, ViewPosition, format_report
from tests.builders import noise_image, tiny_recipe, write_manifest, write_png

FINDINGS = chest_xray().findings


def read(recipe: Recipe) -> list[CorpusStudy]:
    """Return the studies of a recipe with one corpus."""
    folder, corpus = Path(recipe.data), recipe.corpora[0]
    dataset = open_corpus(corpus, recipe, schema=chest_xray(), store=folder / "corpora")
    splits = assign_splits([corpus], {corpus.name: dataset})[corpus.name]
    return list(read_studies(corpus, recipe, folder / "studies", dataset=dataset, splits=splits, schema=chest_xray()))


def recipe(data: Path, *, corpus: dict[str, Any] | None = None, text: dict[str, Any] | None = None) -> Recipe:
    return tiny_recipe(
        data,
        corpora=[{"name": "images", "path": "images"} | (corpus or {})],
        text={"vocabulary_size": 200} | (text or {}),
    )


def manifest(data: Path, *rows: dict[str, Any]) -> Path:
    numbered = ({"study_id": str(number), "split": "train"} | row for number, row in enumerate(rows))
    write_manifest(data / "images", list(numbered))
    return data


FULL = {"findings": "Stable cardiomegaly. The XXXX is clear.", "impression": "Small left effusion."}


def test_texts_are_cleaned_as_the_recipe_says(tmp_path: Path) -> None:
    manifest(tmp_path, FULL)
    (plain,) = read(recipe(tmp_path))
    assert format_report(plain.sections) == "FINDINGS:\nCardiomegaly.\n\nIMPRESSION:\nSmall left effusion."
    (sideless,) = read(recipe(tmp_path, text={"drop_priors": False, "drop_sides": True}))
    assert format_report(sideless.sections) == "FINDINGS:\nStable cardiomegaly.\n\nIMPRESSION:\nSmall effusion."


MIXED = {
    "findings": "The right lung is clear. Small left effusion. Left chest tube. No acute bony abnormality.",
    "impression": "Small left effusion, status post thoracotomy. Left effusion.",
}


@pytest.mark.parametrize(
    ("text", "locations", "expected"),
    [
        ({}, False, "The right lung is clear. Small left effusion. Left chest tube. No acute bony abnormality."),
        ({}, True, "Small left effusion. Chest tube. No acute bony abnormality."),
        ({"drop_unknown_concepts": True}, True, "Small left effusion. Chest tube. No acute bony abnormality."),
        (
            {"drop_unknown_concepts": True, "unknown_findings": ["Support Devices", "Fracture"]},
            True,
            "Small left effusion.",
        ),
        (
            {"drop_unknown_concepts": True, "unknown_findings": ["Support Devices", "Fracture"], "drop_sides": True},
            True,
            "Small effusion.",
        ),
    ],
)
def test_texts_keep_what_the_model_can_know(
    tmp_path: Path, text: dict[str, Any], locations: bool, expected: str
) -> None:
    manifest(tmp_path, MIXED)
    made = recipe(tmp_path, text=text)
    model = made.model.model_copy(update={"locations": locations})
    (one,) = read(made.model_copy(update={"model": model}))
    assert one.sections[0].text == expected


NORMAL = "Heart size is normal. The lungs are clear. No pleural effusion or pneumothorax."


def some_indiana_reports(shared: Path, folder: Path) -> None:
    """Copy every sixth report of the Indiana collection, without images."""
    folder.mkdir()
    source = shared / "data" / "iu_xray"
    with (source / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    with (folder / "indiana_reports.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows[::6]])
    (folder / "indiana_projections.csv").write_text("uid,filename,projection\n", encoding="utf-8")


@pytest.mark.realdata
def test_reports_of_indiana_say_only_what_an_image_can_show(shared: Path, tmp_path: Path) -> None:
    some_indiana_reports(shared, tmp_path / "images")
    unknown = ["Fracture", "Support Devices", "Enlarged Cardiomediastinum"]
    keys = {"drop_unknown_concepts": True, "unknown_findings": unknown, "drop_contradictions": True}
    made = recipe(tmp_path, corpus={"layout": "indiana", "use_images": False}, text=keys)
    found = read(made.model_copy(update={"model": made.model.model_copy(update={"locations": True})}))
    texts = [format_report(one.sections) for one in found]
    assert len(texts) > 200
    never = (
        "device|clip|wire|catheter|tube|surg|status post|history|prior|recommend|spine|rib|bone|aort|granulom|xxxx|mm"
        "|cm|lateral view|discuss|cancer|scolio|degenerat|prosthe|sternotomy|cabg"
    )
    assert not [text for text in texts if re.search(rf"\b(?:{never})", text, re.IGNORECASE)]
    for one in found:
        if any(mentions_side(sentence.text) for section in one.sections for sentence in section.sentences):
            located = locate_findings(format_report(one.sections)).values()
            assert any(location.side is not Side.UNKNOWN for location in located)


def test_incomplete_normal_reports_are_left_out(tmp_path: Path) -> None:
    manifest(
        tmp_path,
        {"findings": NORMAL, "impression": "No acute disease."},
        {"findings": "Sternal wires. XXXX heart. The lungs are clear.", "impression": "No acute disease."},
        {"findings": f"Nodule measuring 8 mm. {NORMAL}", "impression": "Pulmonary nodule measuring 8 mm."},
        {"findings": NORMAL, "impression": "Status post CABG."},
    )
    text = {"drop_unknown_concepts": True, "sections": ["FINDINGS", "IMPRESSION"]}
    found = [one for one in read(recipe(tmp_path, text=text)) if one.sections]
    assert [one.study_id for one in found] == ["0"]


def test_contradictions_are_dropped_on_request(tmp_path: Path) -> None:
    manifest(tmp_path, {"findings": "Small pleural effusion. No pleural effusion.", "impression": "Effusion."})
    (plain,) = read(recipe(tmp_path))
    (consistent,) = read(recipe(tmp_path, text={"drop_contradictions": True}))
    assert [len(one.sections[0].sentences) for one in (plain, consistent)] == [2, 1]


def test_a_report_without_the_required_sections_is_left_out(tmp_path: Path) -> None:
    manifest(tmp_path, FULL, {"findings": "Clear lungs.", "impression": ""})
    both = recipe(tmp_path, text={"sections": ["FINDINGS", "IMPRESSION"]})
    assert [found.study_id for found in read(both)] == ["0"]
    assert len(read(recipe(tmp_path))) == 2


def test_an_image_is_used_without_its_report(tmp_path: Path) -> None:
    write_png(tmp_path / "images" / "a.png", noise_image())
    manifest(tmp_path, {"images": ["a.png"], "findings": "", "impression": "Normal.", "edema": 1})
    (found,) = read(recipe(tmp_path))
    assert found.sections == ()
    assert [path.name for path in found.images] == ["a.png"]
    assert found.targets[FINDINGS.index("Edema")] == 1
    assert np.isnan(found.targets).sum() == 16


def test_images_or_texts_alone(tmp_path: Path) -> None:
    write_png(tmp_path / "images" / "a.png", noise_image())
    manifest(tmp_path, FULL | {"images": ["a.png"], "view": "PA"})
    (text,) = read(recipe(tmp_path, corpus={"use_images": False}))
    assert (text.images, text.views, bool(text.sections)) == ((), (ViewPosition.PA,), True)
    (image,) = read(recipe(tmp_path, corpus={"use_texts": False}))
    assert (len(image.images), image.sections) == (1, ())


def test_offsets_of_the_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_png(tmp_path / "images" / f"{name}.png", noise_image())
    images = {"images": ["a.png", "b.png"]}
    manifest(tmp_path, FULL | images | {"offsets_mm": [5, None], "offsets_days": [0, -7]}, FULL | images)
    stated, unstated = read(recipe(tmp_path))
    assert list(map(list, stated.offsets)) == [
        pytest.approx([5, np.nan, 0], nan_ok=True),
        pytest.approx([np.nan, np.nan, -7], nan_ok=True),
    ]
    assert list(map(list, unstated.offsets)) == [pytest.approx([np.nan, np.nan, 0], nan_ok=True)] * 2
    assert read(recipe(tmp_path, corpus={"use_images": False}))[0].offsets == ()


def test_a_report_that_is_not_used_labels_its_image(tmp_path: Path) -> None:
    """Present is 1, denied or not mentioned 0, uncertain unknown. Labels of the corpus are kept."""
    write_png(tmp_path / "images" / "a.png", noise_image())
    text = {"images": ["a.png"], "findings": "Large pleural effusion. No pneumothorax. Possible pneumonia."}
    labeled = {"images": ["a.png"], "findings": "Large pleural effusion.", "edema": 1}
    manifest(tmp_path, text, labeled, {"images": ["a.png"], "findings": ""})
    found = read(recipe(tmp_path, corpus={"use_texts": False, "label_texts": True}))
    assert [one.sections for one in found] == [(), (), ()]
    names = ("Pleural Effusion", "Pneumothorax", "Fracture", "Pneumonia", "Edema")
    targets = [[one.targets[FINDINGS.index(name)] for name in names] for one in found]
    np.testing.assert_array_equal(targets, [[1, 0, 0, np.nan, 0], [np.nan] * 4 + [1], [np.nan] * 5])
    np.testing.assert_array_equal(found[0].labels, found[0].targets)
    (_, _, silent) = read(recipe(tmp_path, corpus={"use_texts": False}))
    assert np.isnan(silent.targets).all()


def test_excluded_studies_are_left_out(tmp_path: Path) -> None:
    manifest(tmp_path, FULL, FULL, FULL)
    found = read(recipe(tmp_path, corpus={"exclude": ["0", "2"]}))
    assert [one.study_id for one in found] == ["1"]


def test_a_corpus_without_usable_studies_is_refused(tmp_path: Path) -> None:
    manifest(tmp_path, {"findings": "XXXX.", "impression": "XXXX."})
    with pytest.raises(CorpusError, match=r"no study of the corpus 'images' is left; relax text\.sections"):
        read(recipe(tmp_path))


def test_augmented_reports_join_the_training_split(tmp_path: Path) -> None:
    kinds = ("Small", "Large", "Moderate", "Left")
    rows = [{"findings": f"{kind} pleural effusion.", "impression": "Abnormal chest."} for kind in kinds]
    manifest(tmp_path, *rows, {"findings": "The heart is normal in size.", "impression": "Normal chest."})
    found = read(recipe(tmp_path, corpus={"augmented_texts": 5}))
    made = [one for one in found if one.study_id.startswith("augmented-")]
    assert 0 < len(made) <= 5
    assert {one.split for one in made} == {"train"}
    again = read(recipe(tmp_path, corpus={"augmented_texts": 5}))
    assert [one.sections for one in again] == [one.sections for one in found]


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_soft_labels_keep_the_prevalence_of_the_hard_ones(share: float, tmp_path: Path, monkeypatch: Any) -> None:
    hard = [1.0] * 3 + [0.0] * 9
    soft = list(np.random.default_rng(0).uniform(0.5, 0.9, 12))

    examples = [
        Example(study_id=str(n), findings="Clear lungs.", labels={"Edema": h}, soft_labels={"Edema": s})
        for n, (h, s) in enumerate(zip(hard, soft, strict=True))
    ]
    monkeypatch.setattr("report_gen_training.data.studies.read_corpus", lambda *_, **__: build_dataset(examples))
    (tmp_path / "images").mkdir()
    found = read(recipe(tmp_path, corpus={"soft_labels": share}))
    assert [one.labels[FINDINGS.index("Edema")] for one in found] == hard
    blended = np.array([one.targets[FINDINGS.index("Edema")] for one in found])
    assert blended.mean() == pytest.approx(0.25, abs=1e-4)
    assert np.isnan(np.delete(found[0].targets, FINDINGS.index("Edema"))).all()
    assert blended[:3].min() >= (1 - share) - 1e-6
    if share == 1.0:  # only shifted: their logits keep their distances
        np.testing.assert_allclose(np.diff(logit(blended)), np.diff(logit(soft)), atol=1e-3)
        assert expit(logit(blended)).max() < 0.9


def test_held_out_patients_validate_and_the_validation_split_becomes_test(tmp_path: Path) -> None:
    splits = ["train"] * 60 + ["val"] * 6 + ["test"] * 6
    rows = [
        {"patient_id": f"p{number // 2}", "split": split, "findings": "Clear lungs."}
        for number, split in enumerate(splits)
    ]
    manifest(tmp_path, *rows)
    kept, assigned = read(recipe(tmp_path)), read(recipe(tmp_path, corpus={"hold_out": 0.2}))
    assert [one.split for one in kept] == splits
    assert {one.split for one in assigned[60:]} == {"test"}
    held_out = [one for one in assigned[:60] if one.split == "val"]
    assert 4 <= len(held_out) <= 20  # a fifth of 30 patients with two studies each
    training = {one.patient_id for one in assigned[:60] if one.split == "train"}
    assert not {one.patient_id for one in held_out} & training
    assert [one.split for one in read(recipe(tmp_path, corpus={"hold_out": 0.2}))] == [one.split for one in assigned]
