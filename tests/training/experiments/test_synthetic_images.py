"""The experiment on synthetic images: its distance, its choice of findings, and a whole run on a tiny corpus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_gen_training.experiments.linear_probe import load_radiographs
from report_gen_training.experiments.synthetic_images import frechet_distance, main, rarest_findings
from report_gen_training.synthesis import GeneratorRecipe, read_training_images, train_generator

from report_gen.errors import CorpusError, UsageError
from report_gen.labeling import chest_xray
from tests.linear_probes import synthetic, write_nih, write_tiny_recipe

pytest.importorskip("diffusers", reason="needs diffusers: pip install report-gen[synthesis]")


def test_the_frechet_distance_of_normal_distributions() -> None:
    features = np.random.default_rng(0).normal(size=(500, 4))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([3, 4, 0, 0])) == pytest.approx(25)
    doubled = 2 * (features - features.mean(axis=0)) + features.mean(axis=0)
    # Covariances A and 4 A: tr(A + 4 A - 2 * 2 A) = tr A.
    assert frechet_distance(features, doubled) == pytest.approx(np.trace(np.cov(features, rowvar=False)))


def test_findings_without_enough_validation_radiographs_are_refused() -> None:
    _, radiographs = synthetic()
    assert set(rarest_findings(radiographs, 2)) == {"Edema", "Fracture"}
    counts = radiographs.labels[~radiographs.validation].sum(axis=0)
    assert rarest_findings(radiographs, 1) == [radiographs.findings[int(counts.argmin())]]
    with pytest.raises(CorpusError, match="2 findings have 5 validation radiographs; give --findings"):
        rarest_findings(radiographs, 3)


def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_nih(tmp_path / "nih", 150, ("Effusion", "Effusion", "Atelectasis", "No Finding"))
    recipe, output = write_tiny_recipe(tmp_path), tmp_path / "out"
    settings = GeneratorRecipe(size=16, channels=(8, 16), steps=3, batch_size=8, precision="fp32")
    images = read_training_images([corpus], chest_xray(), size=16, cache=tmp_path / "cache")
    generator = tmp_path / "generator"
    train_generator(images, settings, generator, chest_xray().findings, on_step=lambda step, loss: None)
    arguments = [str(corpus), "--generator", str(generator), "--recipe", str(recipe), "--output", str(output)]
    main([*arguments, "--findings", "1"])
    table = (output / "synthetic_images.md").read_text()
    assert table in capsys.readouterr().out
    (rarest,) = rarest_findings(load_radiographs([corpus]), 1)
    positive = int((images.labels[:, chest_xray().index(rarest)] == 1).sum())
    assert f"| {rarest} | {positive} | {2 * positive} |" in table
    for arm in ("radiographs only", "synthetic, 1x", "synthetic, 2x", "the radiographs once more, reduced"):
        assert f"| {arm} |" in table
    other = write_nih(tmp_path / "other", 100)
    with pytest.raises(UsageError, match="was trained on other images"):
        main([str(other), *arguments[1:], "--findings", "1"])
