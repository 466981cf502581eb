"""The ablation of preprocessing: its folds, its probe, and a whole run on a tiny corpus without its test patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from report_gen_training.experiments import preprocessing
from report_gen_training.experiments.linear_probe import Radiographs, load_radiographs
from report_gen_training.experiments.preprocessing import cross_validate, main, predict_validation

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from tests.builders import write_checkpoint
from tests.image_steps import step
from tests.linear_probes import synthetic, write_nih


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
