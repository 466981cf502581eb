"""Figures of trials, combined over seeds into a table, JSON and a plot."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from report_gen_training.experiments.plots import draw_results
from report_gen_training.experiments.question import Question
from report_gen_training.experiments.results import Results, gather, render_markdown, results_to_json
from report_gen_training.experiments.trials import Trial
from report_gen_training.run.folder import LOG

from report_gen.generation import Decoding
from tests.builders import tiny_recipe

QUESTION = Question.model_validate(
    {"title": "Does it $matter$?", "recipe": "x.toml", "corpus": "images", "runs": [{"name": "one"}, {"name": "two"}]}
)


NOTHING: dict[str, Any] = {
    "labels": {},
    "nih_labels": None,
    "attributes": {},
    "finding_head": None,
    "reports": None,
}


def trial(folder: Path, run: str, seed: int, seconds: float = 30.0) -> Trial:
    recipe = tiny_recipe(folder)
    training = folder / run / str(seed)
    training.mkdir(parents=True)
    lines: list[dict[str, Any]] = [
        {"kind": "validation", "chosen": True, "loss": 5.0},
        {"kind": "step", "seconds": seconds},
        {"kind": "step", "seconds": seconds},
        {"kind": "validation", "chosen": True, "loss": 4.0 + seed},
        {"kind": "validation", "chosen": False, "loss": 4.5},
    ]
    (training / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Trial(run, seed, recipe, recipe.corpora[0], "val", Decoding(), True, training, training)


def document(bleu: float, p: float) -> dict[str, Any]:
    """Return the part of the JSON of `evaluate` that experiments read."""
    drop = {"name": "BLEU-4", "first": 0.05, "second": bleu, "p_bootstrap": p}
    return {
        "studies": 10,
        "distinct_drafts": 4,
        **NOTHING,
        "labels": {
            "shuffled": {"macro F1, 14 findings, uncertain-": {"first": 0.1, "second": 0.3, "p_bootstrap": 0.2}}
        },
        "reports": {
            "model": {"name": "model", "scores": [{"name": "BLEU-4", "value": bleu}, {"name": "chrF2", "value": 9.0}]},
            "baselines": [{"name": "constant", "scores": [{"name": "BLEU-4", "value": 0.125}]}],
            "image_use": {"shuffled": [drop, {**drop, "name": "chrF2"}]},
        },
    }


@pytest.fixture
def results(tmp_path: Path) -> Results:
    evaluated = [
        (trial(tmp_path, "one", 0), document(0.25, 0.01)),
        (trial(tmp_path, "two", 0), document(0.5, 0.5)),
        (trial(tmp_path, "one", 1), document(0.375, 0.03)),
    ]
    return gather(QUESTION, evaluated)


def test_figures_are_means_and_ranges_over_the_seeds(results: Results) -> None:
    one, two = results.runs["one"], results.runs["two"]
    assert one["BLEU-4"].values == (0.25, 0.375)
    assert one["BLEU-4"].text == "0.312 (0.250 to 0.375)"
    assert one["BLEU-4: drop with shuffled images"].text == "0.263 (0.200 to 0.325; p 0.0300)"
    assert two["BLEU-4"].text == "0.500"
    assert one["macro F1, 14 findings, uncertain-, labels"].mean == 0.3
    assert one["distinct drafts, share"].mean == 0.4
    assert one["validation loss"].values == (4.0, 5.0)
    assert one["minutes of training steps"].mean == 1.0
    assert results.baselines["constant"]["BLEU-4"].text == "0.125"
    assert not any(name.startswith("chrF2") for name in results.figures)


def test_the_table_has_a_column_for_every_run_and_baseline(results: Results) -> None:
    lines = render_markdown(results).splitlines()
    assert lines[0] == "# Does it $matter$?"
    assert lines[4] == "|  | one | two | baseline: constant |"
    assert "| BLEU-4 | 0.312 (0.250 to 0.375) | 0.500 | 0.125 |" in lines
    assert "| validation loss | 4.500 (4.000 to 5.000) | 4.000 |  |" in lines


def test_json_holds_every_value(results: Results) -> None:
    document = json.loads(results_to_json(results))
    assert document["seeds"] == [0, 1]
    assert document["runs"]["one"]["BLEU-4"]["values"] == [0.25, 0.375]
    assert document["baselines"]["constant"]["BLEU-4"]["mean"] == 0.125


def test_the_plot_is_a_png(results: Results) -> None:
    with PIL.Image.open(io.BytesIO(draw_results(results))) as image:
        assert image.format == "PNG"


def test_a_corpus_without_reports_and_labels(tmp_path: Path) -> None:
    bare = {"studies": 10, "distinct_drafts": 4} | NOTHING
    results = gather(QUESTION, [(trial(tmp_path, "one", 0), bare)])
    assert results.figures == ["distinct drafts, share", "validation loss", "minutes of training steps"]
    assert results.baselines == {}


def test_scores_of_chestxray14_labels_are_compared_with_baselines(tmp_path: Path) -> None:
    def against(first: float) -> list[dict[str, Any]]:
        macro = {"name": "macro F1", "first": first, "second": 0.25, "p_bootstrap": 0.01}
        return [macro, {**macro, "name": "Hernia", "second": 0.0}]

    labels = {"against": {"shuffled": against(0.125), "blank": against(0.0), "all positive": against(0.1875)}}
    nih = {"studies": 10, "distinct_drafts": 4} | NOTHING | {"nih_labels": labels}
    results = gather(QUESTION, [(trial(tmp_path, "one", 0), nih)])
    one, name = results.runs["one"], "macro F1, ChestX-ray14's labels"
    assert (one[name].text, one[f"{name}: drop with shuffled images"].text) == ("0.250", "0.125 (p 0.0100)")
    assert one[f"{name}: drop with blank images"].mean == 0.25
    assert {which: column[name].mean for which, column in results.baselines.items()} == {"all positive": 0.1875}


def test_attributes_and_the_finding_head_have_their_rows(tmp_path: Path) -> None:
    def difference(name: str) -> dict[str, Any]:
        return {"name": name, "first": 0.5, "second": 0.75, "p_bootstrap": 0.02}

    attributes = {"shuffled": {"plane named": difference("plane named")}}
    error = {"name": "all findings ECE", "value": 0.125}
    head = {
        "scores": [error, {**error, "name": "Edema ECE"}],
        "image_use": {"shuffled": difference("mean AUROC"), "blank": difference("mean AUROC")},
    }
    whole = {"studies": 10, "distinct_drafts": 4} | NOTHING | {"attributes": attributes, "finding_head": head}
    one = gather(QUESTION, [(trial(tmp_path, "one", 0), whole)]).runs["one"]
    assert [(one[name].text) for name in ("plane named", "mean AUROC")] == ["0.750", "0.750"]
    assert [name for name in one if name in ("all findings ECE", "Edema ECE")] == [error["name"]]
    assert one["plane named: drop with shuffled images"].text == "0.250 (p 0.0200)"
    assert one["mean AUROC: drop with blank images"].text == "0.250 (p 0.0200)"
