"""Calibration: known temperatures are found, and the probabilities of a whole run match its labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.calibration.temperature import MAX_TEMPERATURE, fit_temperature, tune_findings
from report_gen_training.data.batches import Batch
from report_gen_training.data.targets import MIN_LABELS
from report_gen_training.engine.session import train
from scipy.special import expit

from report_gen.labeling import chest_xray
from report_gen.model import ReportModel, VisualFeatures, load_checkpoint
from tests.builders import tiny_model, tiny_recipe, write_corner_corpus

FINDINGS = chest_xray().findings

F = len(FINDINGS)
TRAINED = (True,) * F


def simulate(studies: int, temperature: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits [S,F] and labels [S,F] of a head whose logits are too large by the factor `temperature`."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 1, (studies, F))
    return temperature * logits, (random.random((studies, F)) < expit(logits)).astype(float)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ReportModel:
    """A model whose finding logits are the first row of its pixels."""

    def encode_images(pixel_values: torch.Tensor, *_: torch.Tensor) -> VisualFeatures:
        nothing = torch.empty(0)
        return VisualFeatures(nothing, pixel_values[:, 0, 0, 0, :], nothing, nothing, nothing)

    model = tiny_model()
    monkeypatch.setattr(model, "encode_images", encode_images)
    return model


def batches(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> list[Batch]:
    nothing = torch.empty(0)
    empty = dict.fromkeys(Batch._fields, nothing)
    pairs = zip(torch.from_numpy(logits).split(16), torch.from_numpy(targets).split(16), strict=True)
    return [Batch(**empty | {"pixel_values": row[:, None, None, None], "finding_targets": t}) for row, t in pairs]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_an_overconfident_or_underconfident_head(temperature: float) -> None:
    found = fit_temperature(*simulate(3000, temperature))
    assert found is not None
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.ece_after < 0.01
    assert found.nll_after <= found.nll_before
    assert (found.studies, found.labels) == (3000, 3000 * F)
    if temperature == 3.0:
        assert found.ece_before > 0.1


def test_unknown_labels_do_not_count() -> None:
    logits, labels = simulate(500, 2.0)
    labels[:, 1:] = np.nan
    labels[100:, 0] = np.nan
    alone, among = fit_temperature(logits[:100, :1], labels[:100, :1]), fit_temperature(logits, labels)
    assert among == alone
    assert among is not None
    assert (among.studies, among.labels) == (100, 100)


def test_a_head_that_is_always_wrong_gets_the_highest_temperature() -> None:
    _, labels = simulate(100, 1.0)
    found = fit_temperature(5 - 10 * labels, labels)
    assert found is not None
    assert found.temperature == pytest.approx(MAX_TEMPERATURE, rel=1e-3)


@pytest.mark.parametrize("positives", [0, MIN_LABELS - 1])
def test_too_few_labels_leave_the_logits_unchanged(model: ReportModel, positives: int) -> None:
    logits, labels = np.random.default_rng(0).normal(size=(64, F)), np.full((64, F), np.nan)
    labels[:, 0] = 0
    labels[:positives, 0] = 1
    tuned = tune_findings(model, batches(logits, logits > 0), labels=labels, trained=TRAINED)
    assert tuned.calibration is None
    assert tuned.findings.temperature == 1


def test_calibration_changes_thresholds_but_not_decisions(model: ReportModel) -> None:
    logits, labels = simulate(320, 3.0)
    nothing = np.full_like(labels, np.nan)
    hot, plain = (
        tune_findings(model, batches(logits, labels), labels=known, trained=TRAINED) for known in (labels, nothing)
    )
    assert hot.findings.temperature == pytest.approx(3, rel=0.1)
    assert (plain.calibration, plain.findings.temperature) == (None, 1)
    calls = []
    for tuned in (hot, plain):
        model.config = model.config.model_copy(update={"findings": tuned.findings})
        calls.append(model.decide(model.probabilities(torch.from_numpy(logits))))
    assert (calls[0] == calls[1]).float().mean() > 0.999  # a quantile may be rounded to its neighbor


def test_an_untrained_finding_stays_unknown(model: ReportModel) -> None:
    logits, labels = simulate(320, 1.0)
    trained = (False, *TRAINED[1:])
    findings = tune_findings(model, batches(logits, labels), labels=labels, trained=trained).findings
    assert findings.present[0] is None
    assert findings.reported == trained


@pytest.mark.parametrize("with_validation", [True, False])
def test_card_and_training_record_describe_the_calibration(tmp_path: Path, with_validation: bool) -> None:
    data = write_corner_corpus(tmp_path, copies=3)
    if not with_validation:
        manifest = data / "images" / "manifest.jsonl"
        manifest.write_text(manifest.read_text("utf-8").replace('"split": "val"', '"split": "test"'), "utf-8")
    best = train(tiny_recipe(data, stage={"steps": 2}), tmp_path / "run", resume=False, on_step=lambda _: None)
    findings, record = load_checkpoint(best).model.config.findings, json.loads((best / "training.json").read_text())
    card = (best / "README.md").read_text("utf-8")
    trained = {name for name, is_trained in zip(FINDINGS, findings.reported, strict=True) if is_trained}
    assert trained == {"No Finding", "Cardiomegaly", "Pleural Effusion", "Fracture"}
    if with_validation:
        assert record["calibration"]["temperature"] == findings.temperature
        assert f"one temperature, {findings.temperature:.2f}, fitted to 48 labels of 12 validation studies" in card
        assert f"{record['calibration']['ece_before']:.3f} before" in card
    else:
        assert record["calibration"] is None
        assert findings.temperature == 1
        assert "The finding probabilities are not calibrated" in card
