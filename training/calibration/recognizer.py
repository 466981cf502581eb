"""Fit the image recognizer to the patch features of the trained encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from report_gen.config import ImageClass, RecognizerConfig
from report_gen.errors import RecipeError
from report_gen.imaging.transform import ImageTransform
from report_gen.model import ImageEncoder, ImageRecognizer

from ..data import LabeledImage
from ..recipe import RecognizerRecipe
from ..run import OnProgress

_BATCH = 16
"""Images that the encoder processes together."""
_L2 = 1e-2
"""Weight of half the squared norm of the classifier's weights in the loss."""
_ITERATIONS = 60
"""Maximum number of L-BFGS iterations."""
_NO_LIMIT = 1e30
"""Maximum distance while the thresholds are not fitted yet: every image is accepted."""
_MARGIN = 1.05
"""Factor between the largest value of a validation image of the scope and the threshold."""
_MAX_FOREIGN = 0.05, 0.5
"""Lower and upper limit of the threshold on the probability of `foreign`."""
_ROTATIONS: Mapping[ImageClass, int] = {"rotated_90": 1, "rotated_180": 2, "rotated_270": 3}


@dataclass(frozen=True)
class RecognizerResult:
    """Decisions of a fitted recognizer on its validation images."""

    images: dict[str, int]
    """Validation images of each class."""
    recognized: dict[str, int]
    """Validation images of each class for which the recognizer gives this class."""


class _Features(NamedTuple):
    """Pooled features of images."""

    values: torch.Tensor
    """[n, G * D_img]."""
    targets: torch.Tensor
    """[n], indices into the classes."""


def fit_recognizer(
    encoder: ImageEncoder,
    transform: ImageTransform,
    images: Mapping[str, Sequence[LabeledImage]],
    recipe: RecognizerRecipe,
    *,
    on_progress: OnProgress,
) -> tuple[ImageRecognizer, RecognizerResult]:
    """Fit classifier, principal components and thresholds.

    The classifier is a logistic regression with balanced classes, fitted by L-BFGS. The thresholds accept every
    validation image of the scope, unless its probability of `foreign` is above 0.5. The result is deterministic.

    Args:
        encoder: The trained encoder.
        transform: Transform of the encoder.
        images: Training images `train` and validation images `val`.
        recipe: Settings.
        on_progress: Called while patch features are computed.

    Returns:
        The recognizer in evaluation mode, and its decisions on the validation images.

    Raises:
        RecipeError: There are no upright or no foreign images in one of the splits.
    """
    classes = _classes(images["train"], recipe)
    config = RecognizerConfig(
        classes=classes, grid=recipe.grid, components=recipe.components, max_foreign=1, max_distance=_NO_LIMIT
    )
    recognizer = ImageRecognizer(config, image_width=encoder.width).to(next(encoder.parameters()).device)
    total = sum(len(part) for part in images.values())
    train = _pool(recognizer, encoder, transform, images["train"], recipe, on_progress, 0, total)
    val = _pool(recognizer, encoder, transform, images["val"], recipe, on_progress, len(images["train"]), total)
    for name, features in (("training", train), ("validation", val)):
        for required in ("upright", "foreign"):
            if classes.index(required) not in features.targets:
                raise RecipeError(f"the recognizer has no {required} {name} images; add sources to [recognizer]")
    _standardize(recognizer, train)
    _fit_classifier(recognizer, train)
    _fit_components(recognizer, train)
    recognizer.config = _choose_thresholds(recognizer, val)
    return recognizer.eval(), _count_recognized(recognizer, val)


def _classes(images: Sequence[LabeledImage], recipe: RecognizerRecipe) -> tuple[ImageClass, ...]:
    """Return `upright`, `lateral` if it occurs, the orientations if the recipe has them, and `foreign` as the last."""
    shown = {image.image_class for image in images}
    derived: tuple[ImageClass, ...] = (*_ROTATIONS, "inverted") if recipe.orientations else ()
    lateral: tuple[ImageClass, ...] = ("lateral",) if "lateral" in shown else ()
    return ("upright", *lateral, *derived, "foreign")


@torch.no_grad()  # the classifier is trained on the features, which inference tensors do not allow
def _pool(
    recognizer: ImageRecognizer,
    encoder: ImageEncoder,
    transform: ImageTransform,
    images: Sequence[LabeledImage],
    recipe: RecognizerRecipe,
    on_progress: OnProgress,
    done: int,
    total: int,
) -> _Features:
    """Compute the pooled features of images and, of upright ones, of rotated and inverted copies."""
    encoder.eval()
    values, targets = [], []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        for image_class, squares in _variants(batch, recipe):
            pixel_values = transform.normalize(squares).to(recognizer.mean.device)
            values.append(recognizer.pool(encoder(pixel_values).float()))
            targets += [recognizer.config.classes.index(image_class)] * len(squares)
        on_progress("image recognizer", done + start + len(batch), total)
    return _Features(torch.cat(values), torch.tensor(targets, device=recognizer.mean.device))


def _variants(batch: Sequence[LabeledImage], recipe: RecognizerRecipe) -> Iterator[tuple[ImageClass, torch.Tensor]]:
    """Yield the images of each class [n,size,size] in 0..1, and the changed copies of upright ones."""
    for image_class in dict.fromkeys(image.image_class for image in batch):
        shown = np.stack([image.square for image in batch if image.image_class == image_class])
        squares = torch.from_numpy(shown).float() / 255
        yield image_class, squares
        if image_class == "upright" and recipe.orientations:
            for rotated, turns in _ROTATIONS.items():
                yield rotated, squares.rot90(turns, (1, 2))
            yield "inverted", torch.stack([_invert(square) for square in squares])


def _invert(square: torch.Tensor) -> torch.Tensor:
    """Invert the gray levels of an image, but not of the black padding around it."""
    rows, columns = square.amax(1) > 0, square.amax(0) > 0
    return (1 - square) * rows[:, None] * columns[None, :]


def _standardize(recognizer: ImageRecognizer, train: _Features) -> None:
    """Set mean and scale of the features. Features that hardly vary get a scale that does not amplify noise."""
    scale, mean = torch.std_mean(train.values, dim=0)
    recognizer.mean.copy_(mean)
    recognizer.scale.copy_(scale + 1e-3)


@torch.enable_grad()
def _fit_classifier(recognizer: ImageRecognizer, train: _Features) -> None:
    classifier, values = recognizer.classifier, recognizer.standardize(train.values)
    counts = train.targets.bincount(minlength=len(recognizer.config.classes))
    weights = len(train.targets) / (len(counts) * counts.clamp(min=1))
    torch.nn.init.zeros_(classifier.weight)
    torch.nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.LBFGS(classifier.parameters(), max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(classifier(values), train.targets, weights) + _L2 / 2 * classifier.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    classifier.requires_grad_(requires_grad=False)


def _fit_components(recognizer: ImageRecognizer, train: _Features) -> None:
    """Set the centers of the classes of the scope, and the principal components of the differences from them."""
    values = recognizer.standardize(train.values)
    foreign = len(recognizer.config.classes) - 1
    for index in range(foreign):
        recognizer.centers[index] = values[train.targets == index].mean(0)
    inside = train.targets < foreign
    differences = values[inside] - recognizer.centers[train.targets[inside]]
    _, _, directions = torch.linalg.svd(_at_most(differences, 2000), full_matrices=False)
    components = directions[: recognizer.config.components]
    recognizer.components[: len(components)] = components


def _at_most(rows: torch.Tensor, count: int) -> torch.Tensor:
    """Return at most `count` rows, evenly spaced."""
    return rows if len(rows) <= count else rows[torch.linspace(0, len(rows) - 1, count).long()]


@torch.inference_mode()
def _choose_thresholds(recognizer: ImageRecognizer, val: _Features) -> RecognizerConfig:
    inside = val.targets < len(recognizer.config.classes) - 1
    probabilities, distances = recognizer.classify(recognizer.standardize(val.values[inside]))
    lowest, highest = _MAX_FOREIGN
    return recognizer.config.model_copy(
        update={
            "max_foreign": min(highest, max(lowest, _MARGIN * float(probabilities[:, -1].max()))),
            "max_distance": _MARGIN * float(distances.max()),
        }
    )


@torch.inference_mode()
def _count_recognized(recognizer: ImageRecognizer, val: _Features) -> RecognizerResult:
    classes = recognizer.config.classes
    shown = [classes[index] for index in val.targets.tolist()]
    decided = [one.image_class for one in recognizer.decide(recognizer.standardize(val.values))]
    pairs = list(zip(shown, decided, strict=True))
    return RecognizerResult(
        {name: shown.count(name) for name in classes}, {name: pairs.count((name, name)) for name in classes}
    )
