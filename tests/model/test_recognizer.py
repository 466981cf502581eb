"""The image recognizer, with weights set by hand so that its decisions are known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from report_gen.config import RecognizerConfig, ScopeConfig
from report_gen.model import ImageRecognizer, load_checkpoint
from tests.builders import tiny_config, tiny_model, write_checkpoint

CONFIG = RecognizerConfig(
    classes=("upright", "inverted", "foreign"), grid=1, components=1, max_foreign=0.4, max_distance=0.5
)


def recognizer() -> ImageRecognizer:
    """Width 4: feature 0 speaks for upright, 1 for inverted, 2 for foreign; the component is along feature 0."""
    made = ImageRecognizer(CONFIG, image_width=4)
    with torch.no_grad():
        made.classifier.weight.copy_(torch.eye(4)[:3] * 10)
        made.classifier.bias.zero_()
        made.components.copy_(torch.eye(4)[:1])
        made.centers.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]))
    return made


def patches(*values: float) -> torch.Tensor:
    """Patch features [1,4,4] whose mean is these values."""
    mean = torch.tensor(values)
    return torch.stack([mean - 1, mean + 1, mean - 2, mean + 2])[None]


@pytest.mark.parametrize(
    ("values", "image_class"),
    [
        ((1.0, 0.0, 0.0, 0.0), "upright"),
        ((0.0, 1.0, 0.0, 0.0), "inverted"),
        ((0.0, 0.0, 1.0, 0.0), "foreign"),  # by the classifier
        ((9.0, 0.0, 0.0, 0.0), "upright"),  # far away, but along a component
        ((1.0, 0.0, 0.0, 0.9), "upright"),  # distance 0.45
        ((1.0, 0.0, 0.0, 1.1), "foreign"),  # distance 0.55
        ((1.0, 0.0, 0.99, 0.0), "foreign"),  # probability 0.475 of foreign, although upright is more probable
    ],
)
def test_both_tests_decide(values: tuple[float, ...], image_class: str) -> None:
    (seen,) = recognizer().recognize(patches(*values))
    assert seen.image_class == image_class


def test_the_score_compares_both_tests_with_their_thresholds() -> None:
    """The thresholds are 0.4 for the probability of foreign and 0.5 for the distance."""
    (by_class,) = recognizer().recognize(patches(1.0, 0.0, 0.99, 0.0))
    (by_distance,) = recognizer().recognize(patches(1.0, 0.0, 0.0, 1.1))
    (accepted,) = recognizer().recognize(patches(1.0, 0.0, 0.0, 0.9))
    probability = recognizer().classify(torch.tensor([[1.0, 0.0, 0.99, 0.0]]))[0][0, 2].item()
    assert by_distance.foreign_score == pytest.approx(1.1)
    assert accepted.foreign_score == pytest.approx(0.9)
    assert by_class.foreign_score == pytest.approx(probability / 0.4)


def test_probabilities_and_distances_by_hand() -> None:
    probabilities, distances = recognizer().classify(torch.tensor([[3.0, 0.0, 0.0, 2.0]]))
    assert distances.item() == pytest.approx(1.0)  # 2 of feature 3 remain, over the root of 4 features
    assert probabilities[0, 0].item() == pytest.approx(1.0)


def test_features_are_averaged_in_cells_of_the_grid() -> None:
    made = ImageRecognizer(CONFIG.model_copy(update={"grid": 2}), image_width=1)
    values = torch.arange(16.0).reshape(1, 16, 1)
    torch.testing.assert_close(made.pool(values), torch.tensor([[2.5, 4.5, 10.5, 12.5]]))


@pytest.mark.parametrize(
    "classes", [("foreign",), ("upright",), ("foreign", "upright"), ("upright", "upright", "foreign")]
)
def test_foreign_is_the_last_of_distinct_classes(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="classes contain a duplicate"):
        RecognizerConfig.model_validate({"classes": classes, "max_distance": 1.0})


def test_a_checkpoint_keeps_its_recognizer(tmp_path: Path) -> None:
    model = tiny_model(tiny_config(scope=ScopeConfig(recognizer=CONFIG.model_copy(update={"grid": 2}))))
    assert model.recognizer is not None
    with torch.no_grad():
        model.recognizer.centers.normal_(generator=torch.Generator().manual_seed(1))
    loaded = load_checkpoint(write_checkpoint(tmp_path / "tiny", model=model)).model
    assert loaded.recognizer is not None
    torch.testing.assert_close(loaded.recognizer.centers, model.recognizer.centers)
    assert loaded.recognizer.config == model.recognizer.config
