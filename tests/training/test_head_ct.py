"""A model with its own labels, and one without any: trained on drawn images, drafted, evaluated and loaded again."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.engine.session import train
from report_gen_training.recipe.findings import load_finding_schema
from report_gen_training.recipe.schema import Recipe
from rich.console import Console

from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.errors import RecipeError, UsageError
from report_gen.evaluation import (
    Evaluation,
    evaluate,
    render_evaluation,
    select_studies,
    write_evaluation,
)
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.labeling import label_findings
from report_gen.metrics import ScoreMethod
from report_gen.records import FindingState, Report
from tests.builders import corner_image, tiny_recipe, write_manifest, write_png

FINDINGS_FILE = """
name = "head_ct"

[[finding]]
name = "No Finding"
phrases = ["normal (head|brain)"]

[[finding]]
name = "Haemorrhage"
phrases = ["(haemorrhage*|hemorrhage*)", "(subdural|epidural) haematoma*"]
aliases = ["ICH"]

[[finding]]
name = "Mass effect"
paired = false
phrases = ["mass effect", "midline shift"]

[[finding]]
name = "Hydrocephalus"
paired = false
phrases = ["hydrocephalus"]

[no_finding]
finding = "No Finding"
"""
NAMES = ("No Finding", "Haemorrhage", "Mass effect", "Hydrocephalus")
TEXTS = (
    ("No haemorrhage, mass effect or hydrocephalus.", "Normal brain."),
    ("There is a subdural haematoma.", "Haemorrhage."),
    ("There is midline shift.", "Mass effect."),
    ("The ventricles show hydrocephalus.", "Hydrocephalus."),
)
"""Findings and impression of the image that is bright in each of four corners, for each of NAMES."""
COPIES = 3
"""Studies of each kind in the validation and test splits; thresholds need three. One of each is enough to learn."""
BRIEF = Decoding(method="greedy", max_tokens=40)


def write_head_corpus(data: Path) -> Path:
    """A corpus in which the bright corner decides the finding; the column of one label is named by its alias."""
    (data / "head_ct.toml").write_text(FINDINGS_FILE, encoding="utf-8")
    rows = []
    for split in ("train", "val", "test"):
        for number in range(4 if split == "train" else 4 * COPIES):
            corner = number % 4
            name = f"{split}-{number}"
            write_png(data / "images" / f"{name}.png", corner_image(corner))
            findings, impression = TEXTS[corner]
            labels = {"No Finding": 0, "ICH": 0, "mass effect": 0, "Hydrocephalus": 0}
            labels[list(labels)[corner]] = 1
            row = {"study_id": name, "images": [f"{name}.png"], "split": split, **labels}
            rows.append(row | {"findings": findings, "impression": impression})
    write_manifest(data / "images", rows)
    return data


def head_recipe(data: Path, *, steps: int = 100, **changes: Any) -> Recipe:
    stage = {
        "steps": steps,
        "validate_every": steps,
        "indication_dropout": 1.0,
        "rates": {"encoder": 1e-3, "projector": 1e-2, "decoder": 5e-3},
    }
    return tiny_recipe(data, stage=stage, **changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_head_corpus(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def head(data: Path) -> Drafter:
    recipe = head_recipe(data, findings="head_ct.toml")
    return Drafter.load(train(recipe, data / "run", resume=False, on_step=lambda _: None))


@pytest.fixture(scope="module")
def without_findings(data: Path) -> Drafter:
    model = head_recipe(data).model.model_dump() | {"projector": {"patch_tokens": 4, "hidden": 16, "dropout": 0.0}}
    recipe = head_recipe(data, steps=150, findings="none", model=model)
    return Drafter.load(train(recipe, data / "none", resume=False, on_step=lambda _: None))


def draft(drafter: Drafter, data: Path, corner: int) -> Report:
    return drafter.draft(read_study(data / "images" / f"test-{corner}.png"), decoding=BRIEF)


def score(drafter: Drafter, data: Path) -> Evaluation:
    rows = select_studies(read_corpus(data / "images", schema=drafter.schema), "test")
    return evaluate(drafter, rows, decoding=BRIEF, method=ScoreMethod(draws=100, java=False, schema=drafter.schema))


def test_labels_are_read_by_name_and_alias(data: Path) -> None:
    schema = load_finding_schema(head_recipe(data, findings="head_ct.toml"))
    labels = read_corpus(data / "images", schema=schema)["labels"]
    assert labels[:4] == [[float(corner == finding) for finding in range(4)] for corner in range(4)]


def test_a_checkpoint_carries_its_findings(head: Drafter, data: Path) -> None:
    config = json.loads((data / "run" / "best" / "config.json").read_text())
    assert config["finding_schema"]["findings"] == list(NAMES)
    assert head.schema == load_finding_schema(head_recipe(data, findings="head_ct.toml"))
    assert head.reported == set(NAMES)


@pytest.mark.parametrize("corner", range(4))
def test_drafts_state_the_findings_of_the_image(head: Drafter, data: Path, corner: int) -> None:
    report = draft(head, data, corner)
    assert tuple(finding.name for finding in report.findings) == NAMES
    assert [finding.name for finding in report.findings if finding.state is FindingState.PRESENT] == [NAMES[corner]]
    stated = label_findings("\n".join(section.text for section in report.sections), head.schema)
    assert [name for name in NAMES if stated[name] is FindingState.PRESENT] == [NAMES[corner]]


def test_a_finding_of_the_chest_is_not_known_to_the_model(head: Drafter, data: Path) -> None:
    study = read_study(data / "images" / "test-0.png")
    with pytest.raises(UsageError, match="'Cardiomegaly' is not known; choose from No Finding, Haemorrhage"):
        head.draft(study, overrides={"Cardiomegaly": FindingState.PRESENT})
    report = head.draft(study, decoding=BRIEF, overrides={"ich": FindingState.PRESENT})
    states = {finding.name: (finding.state, finding.overridden) for finding in report.findings}
    assert states["Haemorrhage"] == (FindingState.PRESENT, True)
    assert states["No Finding"] == (FindingState.ABSENT, False)


def test_evaluation_scores_the_findings_of_the_model(head: Drafter, data: Path, tmp_path: Path) -> None:
    result = score(head, data)
    assert result.label_support == dict.fromkeys(NAMES, COPIES)
    assert result.reports is not None
    assert result.reports.model["macro F1, 4 findings, uncertain+"].value == 1
    assert result.reports.model["Hydrocephalus recall, uncertain-"].value == 1
    assert "rules:head_ct" in result.reports.model["macro F1, 4 findings, uncertain+"].signature
    by_labels = {one.name: one.second for one in result.labels["blank"]}
    assert by_labels["macro F1, 4 findings, uncertain-"] == 1
    assert result.finding_head is not None
    assert result.finding_head["Mass effect AUROC"].value == 1
    write_evaluation(result, tmp_path / "evaluation.json")
    assert json.loads((tmp_path / "evaluation.json").read_text())["finding_schema"] == "head_ct"
    shown = StringIO()
    Console(width=200, file=shown).print(render_evaluation(result))
    assert "Haemorrhage" in shown.getvalue()
    assert "Cardiomegaly" not in shown.getvalue()


def test_a_model_without_findings_drafts_from_its_patch_tokens(without_findings: Drafter, data: Path) -> None:
    assert without_findings.schema.findings == ()
    reports = [draft(without_findings, data, corner) for corner in range(4)]
    assert all(report.findings == () for report in reports)
    assert [report.sections[-1].text for report in reports] == [impression for _, impression in TEXTS]


def test_a_model_without_findings_is_evaluated_on_its_wording(without_findings: Drafter, data: Path) -> None:
    result = score(without_findings, data)
    assert (result.label_support, result.labels, result.finding_head) == ({}, {}, None)
    assert result.reports is not None
    assert result.reports.model["BLEU-4"].value > 0.5
    assert not any("F1" in one.name and "findings" in one.name for one in result.reports.model.scores)
    Console(quiet=True).print(render_evaluation(result))


def test_a_bad_findings_file_of_a_recipe_is_refused(data: Path) -> None:
    with pytest.raises(RecipeError, match=r"findings: .*absent\.toml: cannot be read"):
        load_finding_schema(head_recipe(data, findings="absent.toml"))


def test_a_model_that_would_not_use_the_image_is_refused(data: Path, tmp_path: Path) -> None:
    model = head_recipe(data).model.model_dump() | {"projector": {"patch_tokens": 0}}
    recipe = head_recipe(data, findings="none", model=model)
    with pytest.raises(RecipeError, match=r"would not use the image; set model\.projector\.patch_tokens"):
        train(recipe, tmp_path / "run", resume=False, on_step=lambda _: None)
