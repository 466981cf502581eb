"""Calibration: known temperatures and shifts are found, and the probabilities of a whole run match its labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.calibration import finding_calibration
from report_gen_training.calibration.finding_calibration import (
    MAX_TEMPERATURE,
    SHIFT_SPREAD,
    fit_calibration,
    tune_findings,
)
from report_gen_training.data.batches import Batch
from report_gen_training.data.targets import MIN_LABELS
from report_gen_training.engine.session import train
from report_gen_training.recipe import DecisionRecipe
from scipy.special import expit

from report_gen.config import FindingConfig
from report_gen.labeling import chest_xray
from report_gen.model import ReportModel, VisualFeatures, load_checkpoint
from tests.builders import tiny_model, tiny_recipe, write_corner_corpus

FINDINGS = chest_xray().findings

F = len(FINDINGS)
TRAINED = (True,) * F
COSTS = DecisionRecipe()


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


def batches(logits: NDArray[np.float64]) -> list[Batch]:
    empty = dict.fromkeys(Batch._fields, torch.empty(0))
    return [Batch(**empty | {"pixel_values": part[:, None, None, None]}) for part in torch.from_numpy(logits).split(16)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_an_overconfident_or_underconfident_head(temperature: float) -> None:
    found = fit_calibration(*simulate(3000, temperature))
    assert found is not None
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.shift == pytest.approx((0.0,) * F, abs=0.15)
    assert found.ece_after < 0.01
    assert found.nll_after <= found.nll_before
    assert (found.studies, found.labels) == (3000, 3000 * F)
    if temperature == 3.0:
        assert found.ece_before > 0.1


def test_the_shift_of_each_finding_is_found_with_many_studies() -> None:
    """A head trained on sources with other prevalences: the logits of finding f are too high by f / 8."""
    logits, labels = simulate(6000, 1.0)
    found = fit_calibration(2 * (logits + np.arange(F) / 8), labels)
    assert found is not None
    assert found.temperature == pytest.approx(2, rel=0.05)
    assert found.shift == pytest.approx(-np.arange(F) / 8, abs=0.12)
    assert found.ece_before > 0.1
    assert found.ece_after < 0.01


def test_the_shift_of_a_finding_without_positive_studies_has_a_limit() -> None:
    """About 27 of 100 studies are expected to have the finding, and none has it."""
    logits, random = np.full((100, F), -1.0) + np.linspace(-1, 1, 100)[:, None], np.random.default_rng(0)
    labels = (random.random((100, F)) < expit(logits)).astype(float)
    labels[:, 0] = 0
    labels[:, 1] = np.nan
    found = fit_calibration(logits, labels)
    assert found is not None
    # At the highest posterior, the residuals of a finding equal the pull of its prior; unlabeled findings have neither.
    deviation = found.shift[0] - found.shift[1]
    residual = expit(logits[:, 0] / found.temperature + found.shift[0]).sum()
    assert residual == pytest.approx(-deviation / SHIFT_SPREAD**2, rel=1e-2)


def test_the_prior_of_the_shifts_makes_other_studies_more_probable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rare findings: three positive ones of 100 studies; 2,000 others judge the calibration."""

    def held_out_nll() -> float:
        values = []
        for seed in range(10):
            random = np.random.default_rng(seed)
            logits = random.normal(-4, 1, (2100, F))
            labels = (random.random(logits.shape) < expit(logits)).astype(float)
            found = fit_calibration(logits[:100], labels[:100])
            assert found is not None
            shifted = logits[100:] / found.temperature + found.shift
            values.append(np.mean(np.logaddexp(0, shifted) - labels[100:] * shifted))
        return float(np.mean(values))

    with_prior = held_out_nll()
    monkeypatch.setattr(finding_calibration, "SHIFT_SPREAD", 100.0)
    assert with_prior < held_out_nll() - 0.003


def test_unknown_labels_do_not_count() -> None:
    logits, labels = simulate(500, 2.0)
    labels[:, 1:] = np.nan
    labels[100:, 0] = np.nan
    alone, among = fit_calibration(logits[:100], labels[:100]), fit_calibration(logits, labels)
    assert alone is not None
    assert among is not None
    assert among.temperature == pytest.approx(alone.temperature, rel=1e-3)
    assert set(np.round(among.shift[1:], 6)) == {round(among.shift[1], 6)}  # unlabeled findings: the common shift
    assert (among.studies, among.labels) == (100, 100)


def test_a_head_that_is_always_wrong_gets_the_highest_temperature() -> None:
    _, labels = simulate(100, 1.0)
    found = fit_calibration(5 - 10 * labels, labels)
    assert found is not None
    assert found.temperature == pytest.approx(MAX_TEMPERATURE, rel=1e-3)


@pytest.mark.parametrize("positives", [0, MIN_LABELS - 1])
def test_with_too_few_labels_nothing_is_decided(model: ReportModel, positives: int) -> None:
    logits, labels = np.random.default_rng(0).normal(size=(64, F)), np.full((64, F), np.nan)
    labels[:, 0] = 0
    labels[:positives, 0] = 1
    tuned = tune_findings(model, batches(logits), labels=labels, trained=TRAINED, costs=COSTS)
    assert tuned.calibration is None
    assert tuned.findings == FindingConfig.unknown(F, trained=TRAINED)


def test_a_head_with_wrong_scale_and_prevalence_decides_as_a_correct_one(model: ReportModel) -> None:
    logits, labels = simulate(320, 1.0)
    calls = []
    for given in (logits, 3 * logits - 2):
        tuned = tune_findings(model, batches(given), labels=labels, trained=TRAINED, costs=COSTS)
        model.config = model.config.model_copy(update={"findings": tuned.findings})
        calls.append(model.decide(model.probabilities(torch.from_numpy(given))))
    assert (calls[0] == calls[1]).float().mean() > 0.999
    assert len(calls[0].unique()) == 3  # present, absent and uncertain


def test_an_untrained_finding_stays_unknown(model: ReportModel) -> None:
    logits, labels = simulate(320, 1.0)
    trained = (True, False, *TRAINED[2:])
    labels[:, 1] = 1  # labels of an untrained finding would change the calibration
    findings = tune_findings(model, batches(logits), labels=labels, trained=trained, costs=COSTS).findings
    assert findings.present[1] is None
    assert findings.reported == trained
    assert findings.temperature == pytest.approx(1, abs=0.1)
    assert findings.normal == pytest.approx(0.6)
    denied = tune_findings(model, batches(logits), labels=labels, trained=(False, *TRAINED[1:]), costs=COSTS).findings
    assert denied.normal is None


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
        temperature = f"one temperature, {findings.temperature:.2f}, and a shift per finding"
        assert f"{temperature}, fitted to 48 labels of 12 validation studies" in card
        assert record["calibration"]["shift"] == list(findings.shift or ())
        assert "a false positive costs 1 times as much as a missed finding" in card
        assert 'A study is normal if its probability of "No Finding" is at least 0.60' in card
        assert f"{record['calibration']['ece_before']:.3f} before" in card
    else:
        assert record["calibration"] is None
        assert findings == FindingConfig.unknown(F, trained=findings.trained)
        assert "A study is normal if" not in card
        assert "a false positive costs" not in card
        assert "The finding probabilities are not calibrated" in card
