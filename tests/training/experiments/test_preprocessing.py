"""The ablation of preprocessing: its folds, its probe, and a whole run on a tiny corpus without its test patients."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from report_gen_training.experiments import preprocessing
from report_gen_training.experiments.preprocessing import (
    Radiographs,
    cross_validate,
    load_radiographs,
    main,
    predict_validation,
)

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from tests.builders import corner_image, write_checkpoint, write_png
from tests.image_steps import step


def write_nih(folder: Path, patients: int) -> Path:
    """Write radiographs of the layout `nih`: a bright left upper corner is an effusion, a right one an atelectasis."""
    rows = []
    for number in range(patients):
        place = number % 2
        write_png(folder / "images" / f"{number}.png", corner_image(place))
        label = ("Effusion", "Atelectasis")[place]
        rows.append((f"{number}.png", label, str(number), "PA"))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Image Index", "Finding Labels", "Patient ID", "View Position"), *rows])
    return folder


def synthetic(patients: int = 60) -> tuple[torch.Tensor, Radiographs]:
    """Return features whose first column is the label of the first finding, and noise for the second."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (patients, 2)).astype(np.float64)
    features = random.normal(size=(patients, 5))
    features[:, 0] += 6 * labels[:, 0]
    radiographs = Radiographs(
        paths=tuple(map(str, range(patients))),
        patients=np.array([str(number // 2) for number in range(patients)]),
        validation=np.arange(patients) >= 40,
        findings=("Edema", "Fracture"),
        labels=labels,
        targets=labels,
    )
    return torch.from_numpy(features), radiographs


def test_the_probe_separates_what_the_features_separate() -> None:
    features, radiographs = synthetic()
    for probabilities in (
        predict_validation(features, radiographs, 0.01),
        cross_validate(features, radiographs, 0.01, 5),
    ):
        truth = radiographs.labels[:, 0] > 0
        assert probabilities[truth, 0].min() > probabilities[~truth, 0].max()
        assert ((probabilities > 0) & (probabilities < 1)).all()


def test_validation_patients_do_not_change_the_probe() -> None:
    features, radiographs = synthetic()
    before = predict_validation(features, radiographs, 0.01)
    changed = radiographs.targets.copy()
    changed[radiographs.validation] = 1 - changed[radiographs.validation]
    radiographs = Radiographs(**{**vars(radiographs), "targets": changed})
    np.testing.assert_array_equal(predict_validation(features, radiographs, 0.01), before)


def test_test_patients_are_not_read(tmp_path: Path) -> None:
    corpus = write_nih(tmp_path, 40)
    splits = dict(zip(*(read_corpus(corpus, layout="nih")[name] for name in ("patient_id", "split")), strict=True))
    found = load_radiographs([corpus])
    assert set(found.patients) == {patient for patient, split in splits.items() if split != "test"}
    assert {splits[patient] for patient in found.patients[found.validation]} == {"val"}
    assert "No Finding" not in found.findings


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Corners are easy for every encoder, and a step that leaves them as they are changes nothing."""
    corpus, checkpoint = write_nih(tmp_path / "nih", 80), write_checkpoint(tmp_path / "tiny")
    monkeypatch.setattr(preprocessing, "ARMS", {preprocessing.NO_STEP: (), "median": (step("median"),)})
    main([str(corpus), "--checkpoint", str(checkpoint), "--output", str(tmp_path / "out"), "--draws", "50"])
    table = (tmp_path / "out" / "preprocessing.md").read_text()
    assert table in capsys.readouterr().out
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| no step", "| median"]
    scores = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    for kind in ("validation", "cross-validation"):
        assert scores["no step"][kind]["mean"]["value"] == 1
        gain = scores["median"][kind]["gain"]
        assert gain["second"] - gain["first"] == 0


def test_a_corpus_without_validation_patients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="training and validation patients are needed"):
        load_radiographs([write_nih(tmp_path, 1)])
