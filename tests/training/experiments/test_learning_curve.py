"""The learning curve: its parts of the patients, its scores, and a whole run on a tiny corpus."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from report_gen_training.experiments.learning_curve import PARTS, main, measure_curve
from report_gen_training.experiments.linear_probe import Radiographs, fit_and_predict, load_radiographs
from scipy.stats import mannwhitneyu

from report_gen.errors import CorpusError, UsageError
from tests.linear_probes import write_nih, write_tiny_recipe


def noisy_radiographs() -> tuple[torch.Tensor, Radiographs]:
    """Return features [600,40] of which one column is the label and noise, and one patient for two radiographs."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (600, 1)).astype(np.float64)
    labels = np.concatenate([labels, 1 - labels], axis=1)
    features = random.normal(size=(600, 40))
    features[:, 0] += labels[:, 0]
    return torch.from_numpy(features), Radiographs(
        paths=tuple(map(str, range(600))),
        patients=np.array([str(number // 2) for number in range(600)]),
        validation=np.arange(600) >= 400,
        findings=("Edema", "No Finding"),
        labels=labels,
        targets=labels,
    )


def test_more_patients_give_a_better_probe_and_the_last_point_is_that_of_all() -> None:
    features, radiographs = noisy_radiographs()
    points = measure_curve(features, radiographs, 0.01, 4)
    assert [point.patients for point in points] == [round(200 * part) for part in PARTS]
    assert [point.radiographs for point in points] == [2 * point.patients for point in points]
    assert [len(point.mean_auroc) for point in points] == [4, 4, 4, 4, 1]
    assert np.mean(points[0].mean_auroc) + 0.1 < points[-1].mean_auroc[0]
    probabilities = fit_and_predict(features, radiographs.targets, ~radiographs.validation, 0.01)
    for column, value in enumerate((points[-1].mean_auroc, points[-1].normal_auroc)):
        scores, positive = probabilities[400:, column], radiographs.labels[400:, column] == 1
        pairs = mannwhitneyu(scores[positive], scores[~positive]).statistic / (positive.sum() * (~positive).sum())
        assert value == (pytest.approx(pairs),)


def test_validation_radiographs_of_one_kind_are_refused() -> None:
    features, radiographs = noisy_radiographs()
    labels = radiographs.labels.copy()
    labels[radiographs.validation] = (0, 1)
    with pytest.raises(CorpusError, match="too few positive or negative validation radiographs"):
        measure_curve(features, replace(radiographs, labels=labels), 0.01, 1)


def test_a_patient_of_the_validation_trains_in_no_corpus(tmp_path: Path) -> None:
    one, other = write_nih(tmp_path / "one", 40), write_nih(tmp_path / "other", 40)
    (other / "train_val_list.txt").write_text("".join(f"{number}.png\n" for number in range(40)))
    found = load_radiographs([one, other], with_normal=True)
    both = set(found.patients[found.validation]) & set(found.patients[~found.validation])
    assert not both
    assert "No Finding" in found.findings


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return write_tiny_recipe(tmp_path)


def test_a_whole_run(tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ("Effusion", "Atelectasis", "No Finding")
    corpus, output = write_nih(tmp_path / "nih", 150, kinds), tmp_path / "out"
    main([str(corpus), "--recipe", str(recipe), "--output", str(output), "--repeats", "2"])
    table = (output / "learning_curve.md").read_text()
    assert table in capsys.readouterr().out
    points = json.loads((output / "learning_curve.json").read_text())
    assert points[-1]["mean_auroc"] == [1.0]  # corners are easy for every encoder
    assert len(table.splitlines()) == 4 + len(PARTS)
    assert (output / "learning_curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_recipe_without_pretrained_weights_is_refused(tmp_path: Path, recipe: Path) -> None:
    corpus = write_nih(tmp_path / "nih", 40)
    with pytest.raises(UsageError, match="has no encoder_weights"):
        main([str(corpus), "--recipe", str(recipe), "--set", "model.encoder_weights="])
    with pytest.raises(UsageError, match="--repeats 0"):
        main([str(corpus), "--recipe", str(recipe), "--repeats", "0"])
