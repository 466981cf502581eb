"""Studies with a prior study as training uses them: images, reports, and prompts that drafting renders as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.corpus_study import CorpusStudy
from report_gen_training.data.examples import encode_study
from report_gen_training.data.studies import open_corpus, read_studies
from report_gen_training.recipe.schema import Recipe

from report_gen.auditing import mentions_prior
from report_gen.corpora import read_corpus
from report_gen.drafting.prompt_values import prompt_values
from report_gen.evaluation import study_from_row
from report_gen.evaluation.rows import request_from_row
from report_gen.labeling import chest_xray
from report_gen.prompting import PLACEHOLDERS, Prompt, load_prompt, render
from report_gen.records import ViewOffset, ViewPosition, format_report
from tests.builders import noise_image, tiny_recipe, tokenizer, write_manifest, write_png

PROMPT = Prompt("{study_description}|{admitting_diagnoses}|{indication}|{views}|{comparison}|{prior_report}")
ROW: dict[str, Any] = {
    "images": ["then.png", "now.png"],
    "views": ["lateral", "PA"],
    "is_prior": [1, 0],
    "offsets_days": [3, 15],
    "study_description": "Chest",
    "admitting_diagnoses": "Fever",
    "indication": "Cough.",
    "findings": "The effusion is larger. Stable cardiomegaly.",
    "prior_report": "TECHNIQUE: Portable. FINDINGS: Small effusion. IMPRESSION: Effusion.",
    "finding_boxes": [
        {"finding": "Cardiomegaly", "left": 0.1, "top": 0.1, "right": 0.9, "bottom": 0.9, "image": image}
        for image in (0, 1)
    ],
}


def recipe(data: Path, *, priors: bool, corpus: dict[str, Any] | None = None) -> Recipe:
    model = tiny_recipe(data).model.model_dump(mode="json")
    model["sequence"] = {"kind": "attention", "width": 8, "heads": 2, "priors": priors}
    model["scope"] = {"modalities": ["DX"], "body_parts": ["chest"]}
    text = {"vocabulary_size": 200, "sections": ["FINDINGS"]}
    return tiny_recipe(data, model=model, text=text, corpora=[{"name": "images", "path": "images"} | (corpus or {})])


def read(data: Path, *rows: dict[str, Any], priors: bool = True, **corpus: Any) -> list[CorpusStudy]:
    for number, name in enumerate(("then", "now")):
        write_png(data / "images" / f"{name}.png", noise_image(number))
    write_manifest(data / "images", [{"study_id": str(number)} | row for number, row in enumerate(rows)])
    made, splits = recipe(data, priors=priors, corpus=corpus), np.array(["train"] * len(rows))
    dataset = open_corpus(made.corpora[0], made, schema=chest_xray(), store=data / "corpora")
    folder = data / "studies"
    return list(read_studies(made.corpora[0], made, folder, dataset=dataset, splits=splits, schema=chest_xray()))


def test_prior_images_follow_those_of_the_study_and_comparisons_stay(tmp_path: Path) -> None:
    (study,) = read(tmp_path, ROW)
    assert [image.stem for image in study.images] == ["now", "then"]
    assert (study.views, study.prior_views) == ((ViewPosition.PA, ViewPosition.LATERAL), 1)
    assert [offset.days for offset in study.offsets] == [15, 3]
    assert format_report(study.sections) == "FINDINGS:\nThe effusion is larger. Stable cardiomegaly."
    assert (study.comparison, study.prior_report) == ("Chest radiograph, 12 days earlier.", "Small effusion. Effusion.")
    assert [box.image for box in study.boxes] == [0]


@pytest.mark.parametrize("changes", [{"priors": False}, {"use_images": False}])
def test_a_model_without_prior_images_is_trained_without_comparisons(tmp_path: Path, changes: dict[str, Any]) -> None:
    (study,) = read(tmp_path, ROW, **changes)
    assert [image.stem for image in study.images] == ([] if "use_images" in changes else ["now"])
    assert (study.views, study.prior_views, study.comparison) == ((ViewPosition.PA,), 0, "")
    assert (study.prior_report, format_report(study.sections)) == ("", "FINDINGS:\nCardiomegaly.")


def test_days_that_the_corpus_does_not_state_are_unknown(tmp_path: Path) -> None:
    unstated = {name: value for name, value in ROW.items() if name != "offsets_days"}
    study, seconds = read(tmp_path, unstated, unstated | {"offsets_seconds": [1, 2]})
    assert np.isnan([[one.offsets[1].days] for one in (study, seconds)]).all()
    assert [one.offsets[0].days for one in (study, seconds)] == [ViewOffset().days] * 2
    assert study.comparison == "Earlier chest radiograph."


def test_augmented_reports_have_no_comparison(tmp_path: Path) -> None:
    kinds = ("Small", "Large", "Moderate", "Left")
    alone = [{"findings": f"{kind} pleural effusion.", "impression": "Abnormal chest."} for kind in kinds]
    normal = {"findings": "The heart is normal in size.", "impression": "Normal chest."}
    studies = read(tmp_path, ROW | {"impression": "Larger effusion."}, *alone, normal, augmented_texts=5)
    made = [format_report(one.sections) for one in studies if one.study_id.startswith("augmented-")]
    assert made
    assert not any(map(mentions_prior, made))


def test_training_and_drafting_render_the_same_prompt(tmp_path: Path) -> None:
    (study,) = read(tmp_path, ROW)
    example = encode_study(study, tokenizer(), PROMPT, 100, chest_xray())
    (row,) = read_corpus(tmp_path / "images")
    request = request_from_row(row)
    values = prompt_values(request, "PA", "Chest radiograph, 12 days earlier.")
    drafted = render(PROMPT, values)
    assert drafted == "Chest|Fever|Cough.|PA|Chest radiograph, 12 days earlier.|Small effusion. Effusion."
    with_order, without_order = example.prompts[0], example.prompts[2]
    assert tokenizer().decode(list(with_order)) == tokenizer().decode(tokenizer().encode(drafted))
    assert "Cough" not in tokenizer().decode(list(without_order))
    assert "12 days" in tokenizer().decode(list(without_order))


def test_an_evaluation_drafts_a_row_with_its_prior_study(tmp_path: Path) -> None:
    read(tmp_path, ROW)
    (row,) = read_corpus(tmp_path / "images")
    request = request_from_row(row)
    (prior,) = request.priors
    assert [image.path.stem for image in study_from_row(row).images] == ["now"]
    assert [image.path.stem for image in request.study.images] == ["now"]
    assert [image.path.stem for image in prior.study.images] == ["then"]
    assert prior.days_earlier == 12
    assert prior.report is not None
    assert (request.study.description, request.study.admitting_diagnoses) == ("Chest", "Fever")


def test_the_prompt_for_models_with_priors_has_every_placeholder() -> None:
    assert load_prompt("chest_xray_priors").placeholders == frozenset(PLACEHOLDERS)
