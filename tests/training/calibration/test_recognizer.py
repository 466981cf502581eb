"""The recognizer fitted to drawn chests and drawn foreign images tells others of both kinds apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from report_gen_training.calibration import fit_recognizer
from report_gen_training.data import LabeledImage, split_of_group
from report_gen_training.data.drawn_images import draw_foreign_image
from report_gen_training.recipe import RecognizerRecipe
from report_gen_training.run import ignore_progress

from report_gen.errors import RecipeError
from report_gen.imaging.transform import ImageTransform
from report_gen.model import ImageEncoder
from report_gen.phantom import WHITE, draw_chest

SIZE = 64
TRANSFORM = ImageTransform(size=SIZE, channels=3, mean=0.5, std=0.25)


def chest(seed: int) -> LabeledImage:
    pixels = draw_chest(SIZE, SIZE, seed=seed) / WHITE
    return LabeledImage(np.asarray(255 * pixels, dtype=np.uint8), "upright")


def foreign(seed: int) -> LabeledImage:
    return LabeledImage(draw_foreign_image(SIZE, seed), "foreign")


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    """Random weights: they keep enough of the image for drawings."""
    torch.manual_seed(0)
    return ImageEncoder(name="test_resnet", arguments={}, image_size=SIZE, channels=3).eval()


def test_other_images_are_recognized(encoder: ImageEncoder) -> None:
    images = {
        "train": [*map(chest, range(16)), *map(foreign, range(60))],
        "val": [*map(chest, range(16, 24)), *map(foreign, range(60, 80))],
    }
    recipe = RecognizerRecipe(grid=2, components=8)
    recognizer, result = fit_recognizer(encoder, TRANSFORM, images, recipe, on_progress=ignore_progress)
    assert recognizer.config.classes == ("upright", "rotated_90", "rotated_180", "rotated_270", "inverted", "foreign")
    assert result.images == {name: 20 if name == "foreign" else 8 for name in recognizer.config.classes}
    # No validation image of the scope is refused, by the choice of the thresholds.
    assert all(result.recognized[name] == 8 for name in recognizer.config.classes[:-1])
    assert result.recognized["foreign"] >= 18
    others = torch.stack([torch.from_numpy(image.square) for image in map(chest, range(40, 48))]) / 255
    for turns, name in enumerate(("upright", "rotated_90", "rotated_180", "rotated_270")):
        with torch.inference_mode():
            seen = recognizer.recognize(encoder(TRANSFORM.normalize(others.rot90(turns, (1, 2)))))
        assert [one.image_class for one in seen] == [name] * 8


def test_the_fit_is_deterministic(encoder: ImageEncoder) -> None:
    images = {
        "train": [*map(chest, range(4)), *map(foreign, range(12))],
        "val": [*map(chest, range(4, 6)), *map(foreign, range(12, 20))],
    }
    recipe = RecognizerRecipe(grid=1, components=2, orientations=False)
    one, two = (fit_recognizer(encoder, TRANSFORM, images, recipe, on_progress=ignore_progress)[0] for _ in range(2))
    assert one.config == two.config
    assert one.config.classes == ("upright", "foreign")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])


@pytest.mark.parametrize("missing", ["upright", "foreign"])
def test_a_recognizer_needs_images_of_both_kinds(missing: str, encoder: ImageEncoder) -> None:
    images = [*map(chest, range(2)), *map(foreign, range(2))]
    kept = [image for image in images if image.image_class != missing]
    with pytest.raises(RecipeError, match=f"the recognizer has no {missing} training images; add sources"):
        fit_recognizer(
            encoder, TRANSFORM, {"train": kept, "val": images}, RecognizerRecipe(), on_progress=ignore_progress
        )


def test_drawn_images_differ_and_are_reproducible() -> None:
    drawn = [draw_foreign_image(SIZE, seed) for seed in range(40)]
    assert len({image.tobytes() for image in drawn}) == 40
    assert all(image.shape == (SIZE, SIZE) and image.dtype == np.uint8 for image in drawn)
    assert np.array_equal(drawn[7], draw_foreign_image(SIZE, 7))


def test_groups_are_split_by_their_name() -> None:
    splits = [split_of_group(f"patient {number}") for number in range(2000)]
    shares = {name: splits.count(name) / 2000 for name in ("train", "val", "test")}
    assert shares == pytest.approx({"train": 0.6, "val": 0.2, "test": 0.2}, abs=0.03)
    assert split_of_group("a") == split_of_group("a")


def test_a_trained_checkpoint_has_its_recognizer(tmp_path: Path) -> None:
    from report_gen_training.engine.session import train

    from report_gen.model import load_checkpoint
    from tests.builders import tiny_recipe, write_corner_corpus

    data = write_corner_corpus(tmp_path)
    recognizer = {"corpora": ["images"], "drawn": 40, "grid": 2, "components": 4}
    recipe = tiny_recipe(data, recognizer=recognizer)
    model = load_checkpoint(train(recipe, tmp_path / "run", resume=False, on_step=lambda _: None)).model
    assert model.recognizer is not None
    assert model.config.scope.recognizer == model.recognizer.config
    assert model.recognizer.components.any()
