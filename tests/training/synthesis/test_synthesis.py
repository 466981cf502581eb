"""Synthetic images: what a small generator learns, draws and refuses, and how its corpus is used."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from report_gen_training.synthesis import (
    GeneratorRecipe,
    ImageGenerator,
    TrainingImages,
    draw_images,
    train_generator,
    write_corpus,
)
from report_gen_training.synthesis.nearest import NearestImages

from report_gen.config import ScopeConfig
from report_gen.corpora import read_corpus
from report_gen.corpus_qc import split_corpus
from report_gen.errors import CorpusError, ScopeError, StoppedError, UsageError
from report_gen.imaging import load_pixels, read_study
from report_gen.imaging.scope import apply_scope
from report_gen.imaging.synthetic import read_synthetic_rows
from report_gen.labeling import chest_xray

pytest.importorskip("diffusers", reason="needs diffusers: pip install report-gen[synthesis]")

FINDINGS = ("Upper", "Lower")
RECIPE = GeneratorRecipe(
    size=16, channels=(16, 32), steps=200, batch_size=16, learning_rate=3e-3, ema_decay=0.97, precision="fp32"
)


def drawn_images(count: int = 64) -> TrainingImages:
    """Noise with a bright bar in the upper half (finding 0) or the lower half (finding 1)."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 60, (count, 16, 16), dtype=np.uint8)
    lower = np.arange(count) % 2
    for number in range(count):
        top = 10 * lower[number] + random.integers(0, 3)
        pixels[number, top : top + 4, 2:14] = 230
    labels = np.stack([1.0 - lower, 1.0 * lower], axis=1)
    names = tuple(f"{number}.png" for number in range(count))
    return TrainingImages(pixels, labels, np.array(names), names, "digest")


def ignore(step: int, loss: float) -> None:
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageGenerator, TrainingImages, list[float]]:
    losses: list[float] = []
    images = drawn_images()
    folder = tmp_path_factory.mktemp("generator") / "bars"
    generator = train_generator(images, RECIPE, folder, FINDINGS, on_step=lambda _, loss: losses.append(loss))
    return generator, images, losses


def contrast(pixels: np.ndarray) -> np.ndarray:
    """Mean of the upper half minus that of the lower half of images [n,16,16]."""
    return pixels[:, :8].mean((1, 2), dtype=float) - pixels[:, 8:].mean((1, 2), dtype=float)


def test_the_drawn_images_have_the_finding_that_was_asked_for(
    trained: tuple[ImageGenerator, TrainingImages, list[float]],
) -> None:
    generator, _, losses = trained
    conditions = torch.tensor([[1.0, -1.0]] * 16 + [[-1.0, 1.0]] * 16)
    drawn = generator.draw(conditions, range(32), steps=15).numpy()
    assert losses[-1] < 0.5 * losses[5]
    side = contrast(drawn)
    assert (side[:16] > 0.1).mean() > 0.9
    assert (side[16:] < -0.1).mean() > 0.9


def test_an_image_depends_on_its_own_seed_only(trained: tuple[ImageGenerator, TrainingImages, list[float]]) -> None:
    generator, _, _ = trained
    conditions = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [0.0, 0.0]])
    together = generator.draw(conditions, [5, 6, 7], steps=5)
    alone = generator.draw(conditions[1:2], [6], steps=5)
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4)
    assert not torch.allclose(together[1], generator.draw(conditions[1:2], [8], steps=5)[0], atol=0.05)


def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    images, recipe = drawn_images(), RECIPE.model_copy(update={"steps": 12})
    whole = train_generator(images, recipe, tmp_path / "whole", FINDINGS, on_step=ignore)

    def stop(step: int, loss: float) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped by SIGTERM in step 5; continue with --resume"):
        train_generator(images, recipe, tmp_path / "parts", FINDINGS, on_step=stop)
    steps: list[int] = []
    resumed = train_generator(images, recipe, tmp_path / "parts", FINDINGS, on_step=lambda step, _: steps.append(step))
    assert steps == list(range(6, 13))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    assert not (tmp_path / "parts" / "training").exists()


def test_a_training_with_other_settings_or_a_damaged_state_is_refused(tmp_path: Path) -> None:
    images, recipe = drawn_images(), RECIPE.model_copy(update={"steps": 4, "save_every": 1})

    def stop(step: int, loss: float) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError):
        train_generator(images, recipe, tmp_path / "g", FINDINGS, on_step=stop)
    other = recipe.model_copy(update={"learning_rate": 1e-5})
    with pytest.raises(UsageError, match=r"a training with learning_rate=0\.003 instead of learning_rate=1e-05; give"):
        train_generator(images, other, tmp_path / "g", FINDINGS, on_step=ignore)
    with pytest.raises(UsageError, match="belongs to a training with other images or labels; give these again"):
        train_generator(replace(images, sha256="other"), recipe, tmp_path / "g", FINDINGS, on_step=ignore)
    (tmp_path / "g" / "training" / "ema.safetensors").write_bytes(b"short")
    with pytest.raises(UsageError, match="damaged"):
        train_generator(images, recipe, tmp_path / "g", FINDINGS, on_step=ignore)


class Copier(ImageGenerator):
    """A generator that repeats a training image, except for every third image."""

    def __init__(self, images: TrainingImages) -> None:
        super().__init__(RECIPE, FINDINGS)
        self._images, self._count = torch.from_numpy(images.pixels).float() / 255, 0

    def draw(
        self, conditions: torch.Tensor, seeds: Sequence[int], *, steps: int = 50, guidance: float = 1.5
    ) -> torch.Tensor:
        noise = torch.rand(len(seeds), 16, 16, generator=torch.Generator().manual_seed(self._count))
        copied = self._images[: len(seeds)].clone()
        fresh = (torch.arange(len(seeds)) + self._count) % 3 == 0
        self._count += len(seeds)
        copied[fresh] = noise[fresh]
        return copied


def test_copies_of_training_images_are_discarded() -> None:
    images = drawn_images()
    synthetic = draw_images(Copier(images), images, "Upper", 10)
    assert len(synthetic.pixels) == 10
    assert synthetic.copies >= 15  # two of three
    assert synthetic.nearest.distances.min() >= synthetic.threshold > 0
    assert (synthetic.labels[:, 0] == 1).all()


def test_the_nearest_image_is_that_of_the_largest_correlation() -> None:
    images = drawn_images()
    nearest = NearestImages(images)
    noisy = torch.from_numpy(images.pixels[[7, 20]]).float() + 1.5  # a brighter copy is a copy
    found = nearest.find(noisy)
    assert found.indices.tolist() == [7, 20]
    assert found.distances == pytest.approx([0, 0], abs=1e-5)
    flat = images.pixels.reshape(len(images.pixels), -1).astype(float)
    correlations = np.corrcoef(flat)
    np.fill_diagonal(correlations, -1)
    assert nearest.references == pytest.approx(np.sort(1 - correlations.max(axis=1)), abs=1e-5)


@pytest.fixture
def corpus(trained: tuple[ImageGenerator, TrainingImages, list[float]], tmp_path: Path) -> Path:
    _, images, _ = trained
    synthetic = draw_images(Copier(images), images, "Upper", 4)
    names = ("Pneumonia", "Hernia")  # findings of the schema, so that the manifest can be read
    write_corpus(tmp_path / "synthetic", synthetic, images, names)
    return tmp_path / "synthetic"


def test_the_corpus_is_marked_and_is_training_data_only(corpus: Path, tmp_path: Path) -> None:
    rows = read_corpus(corpus)
    schema = chest_xray()
    assert len(rows) == 4
    assert set(rows["split"]) == {"train"}
    assert set(rows["source"]) == {"synthetic/Upper"}
    assert [row["labels"][schema.index("Pneumonia")] for row in rows] == [1.0] * 4
    assert [row["labels"][schema.index("Hernia")] for row in rows] == [0.0] * 4
    path = Path(rows[0]["images"][0])
    with PIL.Image.open(path) as image:
        assert image.size == (16, 19)
        assert "It shows no patient" in image.info["Description"]
        assert np.asarray(image)[16:].max() > 50  # the text of the mark
    assert read_synthetic_rows(path) == 16
    summary = json.loads((corpus / "synthesis.json").read_text())
    assert summary["images"] == 4
    assert {"contact_sheet.png", "nearest.png"} <= {one.name for one in corpus.iterdir()}
    with pytest.raises(CorpusError, match="training data only"):
        split_corpus(rows, source="synthetic", ratios={"train": 0.5, "val": 0.5, "test": 0.0}, seed=0)
    manifest = corpus / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"split": "train"', '"split": "val"'))
    with pytest.raises(CorpusError, match="4 synthetic images are validation or test data"):
        read_corpus(corpus)


def test_a_synthetic_image_is_not_drafted(corpus: Path) -> None:
    study = read_study(sorted(corpus.glob("synthetic-*.png"))[0])
    assert load_pixels(study.images[0]).shape == (19, 16)
    with pytest.raises(ScopeError, match="a synthetic image, which shows no patient"):
        apply_scope(study, ScopeConfig())
