"""Evaluation of a model that distinguishes four images, and of the same model without its visual tokens."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from report_gen_training.engine.session import train
from rich.console import Console

from report_gen.cli import app as cli
from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.errors import CorpusError, UsageError
from report_gen.evaluation import (
    Evaluation,
    evaluate,
    known_labels,
    label_reports,
    nearest_candidates,
    render_evaluation,
    select_studies,
    training_reports,
)
from report_gen.generation import Decoding
from report_gen.labeling import chest_xray
from report_gen.metrics import ScoreMethod
from report_gen.model import load_checkpoint
from report_gen.records import FindingState
from tests.builders import CORNERS, corner_image, tiny_recipe, write_corner_corpus, write_manifest, write_png

LABELS = ("Cardiomegaly", "Pleural Effusion", "No Finding", "Fracture")
"""The finding of each of `CORNERS`."""
METHOD = ScoreMethod(draws=200, java=False)
MACRO = "macro F1, 14 findings, uncertain-"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that distinguishes the four corners by their images alone."""
    data = write_corner_corpus(tmp_path_factory.mktemp("data"))
    plain = tiny_recipe(data)
    stage = {
        "steps": 160,
        "validate_every": 160,
        "state_dropout": 1.0,
        "indication_dropout": 1.0,
        "finding_weight": 0.0,
        "rates": {"encoder": 1e-3, "projector": 5e-3, "decoder": 5e-3},
    }
    model = plain.model.model_dump() | {"projector": {"patch_tokens": 4, "hidden": 16, "dropout": 0.0}}
    return train(tiny_recipe(data, stage=stage, model=model), data / "run", resume=False, on_step=lambda _: None)


@pytest.fixture(scope="module")
def image_model(checkpoint: Path) -> Drafter:
    return Drafter.load(checkpoint)


@pytest.fixture(scope="module")
def text_model(checkpoint: Path) -> Drafter:
    """The same decoder, without any information from the images."""
    loaded = load_checkpoint(checkpoint)
    with torch.no_grad():
        loaded.model.projector.finding_weight.zero_()
        for mlp in (loaded.model.projector.finding_mlp, loaded.model.projector.patch_mlp):
            for parameter in mlp[-1].parameters():
                parameter.zero_()
    return Drafter.from_checkpoint(loaded)


@pytest.fixture
def report_gen(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The console script in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["report-gen", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capfd.readouterr()

    return run


def corpus(
    folder: Path, *, texts: bool = False, labels: bool = False, splits: Iterable[str] = ("train", "test")
) -> Path:
    """Four studies in each split, and one more in test without an image."""
    rows = []
    for name, place in ((f"{split}-{place}", place) for split in splits for place in range(4)):
        write_png(folder / f"{name}.png", corner_image(place))
        rows.append(
            {
                "study_id": name,
                "images": [f"{name}.png"],
                "split": name.partition("-")[0],
                **text_and_labels(place, texts, labels),
            }
        )
    rows.append({"study_id": "bare", "split": "test", **text_and_labels(0, texts, labels)})
    return write_manifest(folder, rows)


def text_and_labels(place: int, texts: bool, labels: bool) -> dict[str, Any]:
    report = dict(zip(("findings", "impression"), CORNERS[place], strict=True)) if texts else {}
    return report | ({name: int(number == place) for number, name in enumerate(LABELS)} if labels else {})


def evaluated(drafter: Drafter, folder: Path, *, split: str = "test", method: ScoreMethod = METHOD) -> Evaluation:
    studies = list(read_corpus(folder))
    rows = select_studies(studies, split)
    return evaluate(
        drafter,
        rows,
        decoding=Decoding(max_tokens=40),
        method=method,
        training=training_reports(studies, rows),
        nearest=nearest_candidates(studies, rows),
        track=lambda items, *_: items,
    )


def printed(result: Evaluation) -> str:
    console = Console(width=200, file=StringIO())
    console.print(render_evaluation(result))
    return console.file.getvalue()


def test_a_model_that_uses_images_loses_without_them(image_model: Drafter, tmp_path: Path) -> None:
    result = evaluated(image_model, corpus(tmp_path, texts=True, labels=True))
    assert result.distinct == 4
    assert result.reports is not None
    assert (
        result.reports.model["BLEU-4"].value == pytest.approx(result.reports.model["BLEU-1"].value) == pytest.approx(1)
    )
    for differences in (result.labels, result.reports.image_use):
        assert list(differences) == ["shuffled", "blank"]
    for control in ("shuffled", "blank"):
        by_label = {one.name: one for one in result.labels[control]}[MACRO]
        by_report = {one.name: one for one in result.reports.image_use[control]}["BLEU-1"]
        assert (by_label.second, by_report.second) == (1, pytest.approx(1))
        assert by_label.interval[0] > 0
        assert by_report.interval[0] > 0
    assert not any("does not use the image" in verdict.text for verdict in (*result.verdicts, *result.reports.verdicts))


def test_a_model_that_ignores_images_loses_nothing(text_model: Drafter, tmp_path: Path) -> None:
    result = evaluated(text_model, corpus(tmp_path, texts=True, labels=True))
    assert result.distinct == 1
    assert result.reports is not None
    for one in (*result.labels["shuffled"], *result.reports.image_use["blank"], *result.reports.image_use["shuffled"]):
        assert one.first == one.second
        assert one.interval == (0, 0)
        assert one.p_bootstrap == 1
    texts = [verdict.text for verdict in (*result.verdicts, *result.reports.verdicts)]
    assert sum("does not use the image: with shuffled images" in text for text in texts) == 2
    assert sum("does not use the image: with blank images" in text for text in texts) == 2
    assert result.reports.fails


def test_labels_alone(image_model: Drafter, tmp_path: Path) -> None:
    result = evaluated(image_model, corpus(tmp_path, labels=True))
    assert result.reports is None
    assert sorted(result.drafts) == [f"test-{place}" for place in range(4)]
    assert {name: count for name, count in result.label_support.items() if count} == dict.fromkeys(LABELS, 1)
    shown = printed(result)
    assert "Against the labels with shuffled images" in shown
    assert MACRO in shown
    assert "BLEU" not in shown


def test_reports_alone_are_compared_by_findings_section_and_with_training_reports(
    image_model: Drafter, tmp_path: Path
) -> None:
    result = evaluated(image_model, corpus(tmp_path, texts=True))
    assert result.labels == {}
    assert result.reports is not None
    assert [case.prediction for case in result.reports.cases] == [findings for findings, _ in CORNERS]
    names = [baseline.name for baseline in result.reports.baselines]
    assert names == ["constant", "most frequent", "random", "image 1-NN"] == list(result.reports.against_baselines)
    # Every test image is also a training image, so the nearest image is its copy and has the correct report.
    assert result.reports.baselines[-1]["BLEU-4"].value == pytest.approx(1)
    assert {one.name: one.second - one.first for one in result.reports.against_baselines["image 1-NN"]}["BLEU-4"] == 0
    assert "Against the reports with blank images" in printed(result)


def test_reports_label_the_studies_that_the_corpus_does_not_label(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", corner_image(0))
    rows = [
        {"study_id": "text", "images": ["a.png"], "findings": "Large effusion. No fracture. Possible edema."},
        {"study_id": "both", "images": ["a.png"], "findings": "Large effusion.", "Edema": 1},
        {"study_id": "labels", "images": ["a.png"], "findings": "", "Edema": 0},
    ]
    write_manifest(tmp_path, rows)
    text, both, labels = label_reports(select_studies(read_corpus(tmp_path), "all"), chest_xray())
    found = known_labels(text, chest_xray())
    assert {name for name, state in found.items() if state is FindingState.PRESENT} == {"Pleural Effusion"}
    assert found["Fracture"] is found["Cardiomegaly"] is FindingState.ABSENT
    assert set(chest_xray().findings) - found.keys() == {"Edema"}
    assert known_labels(both, chest_xray()) == {"Edema": FindingState.PRESENT}
    assert known_labels(labels, chest_xray()) == {"Edema": FindingState.ABSENT}


def test_each_study_is_compared_with_its_known_labels_and_texts(image_model: Drafter, tmp_path: Path) -> None:
    rows = [
        {
            "study_id": f"{place}",
            "images": [str(write_png(tmp_path / f"{place}.png", corner_image(place)))],
            "split": "test",
        }
        | text_and_labels(place, texts=place < 2, labels=place > 0)
        for place in range(4)
    ]
    result = evaluated(image_model, write_manifest(tmp_path, rows))
    assert result.reports is not None
    assert [case.study_id for case in result.reports.cases] == ["0", "1"]
    assert {name: count for name, count in result.label_support.items() if count} == dict.fromkeys(LABELS[1:], 1)
    assert {one.name: one.second for one in result.labels["blank"]}[MACRO] == 1


def test_drafted_studies_are_not_baselines(image_model: Drafter, tmp_path: Path) -> None:
    result = evaluated(image_model, corpus(tmp_path, texts=True), split="train")
    assert result.reports is not None
    assert result.reports.baselines == ()
    assert any("no training reports" in notice for notice in result.reports.notices)


def test_a_split_without_labels_and_reports_is_refused(tmp_path: Path) -> None:
    rows = list(read_corpus(corpus(tmp_path, texts=True)))
    with pytest.raises(CorpusError, match="fewer than two studies of split 'val'"):
        select_studies(rows, "val")
    without_text = [{**row, "findings": ""} for row in rows]
    with pytest.raises(CorpusError, match="images and labels or findings texts"):
        select_studies(without_text, "test")


def test_studies_of_one_source_are_selected() -> None:
    common = {"images": ["a.png"], "findings": "Edema.", "labels": [], "split": "test"}
    rows = [common | {"study_id": str(n), "source": source} for n, source in enumerate(("a/1", "b", "a/1", "a/2", "b"))]
    for source, expected in (("", "01234"), ("a", "023"), ("a/1", "02"), ("b", "14")):
        assert "".join(row["study_id"] for row in select_studies(rows, "test", source)) == expected
    with pytest.raises(CorpusError, match="fewer than two studies of split 'test' and source 'a/2' have images"):
        select_studies(rows, "test", "a/2")


def test_an_unknown_preset_fails_before_the_drafting(image_model: Drafter, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no preset 'rwa'"):
        evaluated(image_model, corpus(tmp_path, texts=True), method=replace(METHOD, preset="rwa"))


def test_a_blank_control_is_drafted_and_a_blank_study_is_not(image_model: Drafter, tmp_path: Path) -> None:
    folder = corpus(tmp_path, labels=True)
    write_png(folder / "test-0.png", np.zeros((32, 32), dtype=np.uint8))
    result = evaluated(image_model, folder)
    assert "The image is blank" in result.drafts["test-0"]
    assert not any("The image is blank" in text for name, text in result.drafts.items() if name != "test-0")


def test_the_command_writes_the_requested_files(
    report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    folder = corpus(tmp_path / "corpus", texts=True, labels=True)
    written = {kind: tmp_path / f"out.{kind}" for kind in ("json", "html", "csv")}
    files = [argument for kind, path in written.items() for argument in (f"--{kind}", path)]
    arguments = ("evaluate", checkpoint, folder, "--candidates", 1, "--bootstrap", 100, "--no-java", *files)
    code, out, err = report_gen(*arguments)
    assert code == 0
    assert "4 studies, 4 distinct drafts" in out
    assert "evaluating shuffled images" in err
    document = json.loads(written["json"].read_text())
    assert document["schema_version"] == 2
    assert document["labels"]["blank"][MACRO]["second"] == 1
    assert document["nih_labels"] is None
    assert document["reports"]["image_use"]["shuffled"][0]["name"] == "BLEU-1"
    assert document["drafts"]["test-2"] == "\n".join(CORNERS[2])
    assert "Own images against shuffled images" in written["html"].read_text()
    assert len(list(csv.DictReader(StringIO(written["csv"].read_text())))) == 4


def test_a_corpus_in_nih_layout_is_compared_with_nih_labels(
    report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    rows = ["Image Index,Finding Labels,Patient ID,View Position"]
    (tmp_path / "images").mkdir()
    for place, label in enumerate(("Cardiomegaly", "Effusion", "No Finding", "Nodule")):
        write_png(tmp_path / "images" / f"{place}.png", corner_image(place))
        rows.append(f"{place}.png,{label},{place},")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    written = tmp_path / "out.json"
    arguments = ("--split", "all", "--candidates", 1, "--bootstrap", 100, "--json", written)
    code, out, _ = report_gen("evaluate", checkpoint, tmp_path, *arguments)
    assert code == 0
    assert "F1 of ChestX-ray14's labels" in out
    found = json.loads(written.read_text())["nih_labels"]
    scores = {one["name"]: one["value"] for one in found["scores"]}
    assert (scores["Cardiomegaly"], scores["Effusion"], scores["Nodule"]) == (1, 1, 0)
    assert scores["macro F1"] == pytest.approx(2 / 14)
    assert list(found["against"]) == ["shuffled", "blank", "all positive", "most frequent draft"]
    assert found["against"]["all positive"][0]["first"] == pytest.approx(3 * (2 * 0.25 / 1.25) / 14)
    assert found["support"]["Nodule"] == 1


def test_embedded_images_are_evaluated_and_removed(
    report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row for row in read_corpus(corpus(tmp_path, texts=True)) if row["images"]]
    table = [
        {"id": row["study_id"], "findings": row["findings"], "split": row["split"], "image": {"bytes": data}}
        for row in rows
        for data in [Path(row["images"][0]).read_bytes()]
    ]
    Dataset.from_list(table).save_to_disk(tmp_path / "saved")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    code, out, _ = report_gen(
        "evaluate", checkpoint, tmp_path / "saved", "--candidates", 1, "--bootstrap", 100, "--no-java"
    )
    assert code == 0
    assert "4 studies, 4 distinct drafts" in out
    assert not list((tmp_path / "temporary").glob("report-gen-*"))


def test_a_broken_image_is_named_and_the_others_are_evaluated(
    report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    folder = corpus(tmp_path, labels=True)
    broken, cut = folder / "test-1.png", folder / "test-2.png"
    broken.write_bytes(b"not an image")
    cut.write_bytes(cut.read_bytes()[:60])
    code, out, err = report_gen("evaluate", checkpoint, folder, "--candidates", 1, "--bootstrap", 100)
    assert code == 3
    assert "2 studies, 2 distinct drafts" in out
    assert "2 studies left out" in out
    assert f"report-gen: {broken}: " in err
    assert f"report-gen: {cut}: " in err


def test_a_corpus_of_broken_images(report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path) -> None:
    folder = corpus(tmp_path, labels=True)
    for place in range(3):
        (folder / f"test-{place}.png").write_bytes(b"not an image")
    code, out, err = report_gen("evaluate", checkpoint, folder)
    assert (code, out) == (3, "")
    assert "fewer than two studies have images that can be read; the first error:" in err


def test_html_without_reports_is_refused_before_the_drafting(
    report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    code, out, err = report_gen("evaluate", checkpoint, corpus(tmp_path, labels=True), "--html", tmp_path / "x.html")
    assert (code, out) == (2, "")
    assert "none of these studies has a report with findings" in err


@pytest.mark.parametrize(("name", "fault"), [("a.png", "needs labels of findings"), ("a.pdf", "ends in .png")])
def test_a_calibration_that_cannot_be_drawn_is_refused_before_the_drafting(
    report_gen: Callable[..., Any], checkpoint: Path, tmp_path: Path, name: str, fault: str
) -> None:
    folder = corpus(tmp_path, labels=True)  # the finding head of this model was trained on none of these
    code, out, err = report_gen("evaluate", checkpoint, folder, "--calibration", tmp_path / name)
    assert (code, out) == (2, "")
    assert fault in err


@pytest.fixture
def drafts(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions and references of two studies."""
    for name in ("predictions", "references"):
        (tmp_path / f"{name}.csv").write_text("id,report\na,The lungs are clear.\nb,Small pleural effusion.\n")
    return tmp_path / "predictions.csv", tmp_path / "references.csv"


def test_the_score_command_names_optional_metrics_that_are_not_installed(
    report_gen: Callable[..., Any], drafts: tuple[Path, Path], tmp_path: Path
) -> None:
    folders = [argument for name in ("bertscore", "chexbert", "radgraph") for argument in (f"--{name}", tmp_path)]
    code, out, _ = report_gen("score", *drafts, "--no-java", "--bootstrap", 0, *folders)
    assert code == 0
    assert "exact+stem" in out
    assert "METEOR 1.5" not in out
    for title in ("BERTScore", "CheXbert", "RadGraph"):
        assert f"{title} left out" in out


def test_the_score_command_takes_image_features(
    report_gen: Callable[..., Any], drafts: tuple[Path, Path], tmp_path: Path
) -> None:
    train_file, features = tmp_path / "train.csv", tmp_path / "features.npz"
    train_file.write_text("id,report\nc,Small pleural effusion.\nd,The lungs are clear.\n")
    np.savez(features, ids=np.array(["a", "b", "c", "d"]), features=np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]]))
    page = tmp_path / "out.json"
    arguments = ("--no-java", "--bootstrap", 0, "--train", train_file, "--features", features, "--json", page)
    code, _, _ = report_gen("score", *drafts, *arguments)
    assert code == 0
    nearest = next(one for one in json.loads(page.read_text())["baselines"] if one["name"] == "image 1-NN")
    assert next(one for one in nearest["scores"] if one["name"] == "BLEU-1")["value"] == pytest.approx(1)
