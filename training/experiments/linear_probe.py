"""Fit a logistic regression to the frozen features of radiographs, to compare features and amounts of data."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from report_gen.corpora import is_of_source, read_corpus
from report_gen.errors import CorpusError, UsageError
from report_gen.imaging.transform import ImageTransform
from report_gen.labeling import chest_xray
from report_gen.metrics import Floats
from report_gen.model import ImageEncoder
from report_gen.terminal import bars

from ..data import ImageCache, cache_images, image_transform
from ..engine import fill_encoder
from ..recipe import load_recipe

_SOFT = 0.7
"""Weight of the soft labels in the targets. The recipe chest_xray has 0.5."""
_BATCH = 32
_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class Radiographs:
    """The S radiographs of training and validation patients."""

    paths: tuple[str, ...]
    patients: NDArray[np.str_]
    validation: NDArray[np.bool_]
    """[S]."""
    findings: tuple[str, ...]
    labels: Floats
    """[S,F], 1 or 0."""
    targets: Floats
    """[S,F], 0..1, what the probe is fitted to: the labels, mixed with soft labels where the corpus has them."""


def load_radiographs(
    corpora: Sequence[Path], *, validation_sources: Sequence[str] = (), with_normal: bool = False
) -> Radiographs:
    """Read the training and validation radiographs of corpora in the layout `nih`.

    Training radiographs of patients who are validation or test patients of another corpus are left out.

    Args:
        corpora: Folders that number the same patients.
        validation_sources: Sources of the validation radiographs, for corpora with a column `source`; empty for all.
        with_normal: Whether "No Finding" is one of the findings, although it follows from the others. The few
            radiographs for which it is not known are left out.

    Raises:
        CorpusError: A corpus cannot be read, or training or validation patients are missing.
    """
    rows = [row for path in corpora for row in read_corpus(path, layout="nih")]
    held_out = {row["patient_id"] for row in rows if row["split"] != "train"}
    rows = [row for row in rows if _is_used(row, held_out, validation_sources)]
    schema = chest_xray()
    if with_normal:
        rows = [row for row in rows if row["labels"][schema.index(schema.normal)] is not None]
    if {row["split"] for row in rows} != {"train", "val"}:
        raise CorpusError(f"{', '.join(map(str, corpora))}: training and validation patients are needed; add a corpus")
    labels = np.array([row["labels"] for row in rows], dtype=np.float64)  # [S,F], NaN where the corpus has no label
    soft = np.array([row["soft_labels"] for row in rows], dtype=np.float64)
    labeled = np.isfinite(labels).all(axis=0)
    used = (*schema.stated, schema.normal) if with_normal else schema.stated
    labeled &= np.array([name in used for name in schema.findings])
    return Radiographs(
        paths=tuple(row["images"][0] for row in rows),
        patients=np.array([row["patient_id"] for row in rows]),
        validation=np.array([row["split"] == "val" for row in rows]),
        findings=tuple(name for name, known in zip(schema.findings, labeled, strict=True) if known),
        labels=labels[:, labeled],
        targets=np.where(np.isfinite(soft), _SOFT * soft + (1 - _SOFT) * labels, labels)[:, labeled],
    )


def _is_used(row: Mapping[str, Any], held_out: Collection[str], validation_sources: Sequence[str]) -> bool:
    if row["split"] == "train":
        return row["patient_id"] not in held_out
    is_chosen = not validation_sources or any(is_of_source(row["source"], one) for one in validation_sources)
    return row["split"] == "val" and (is_chosen or not row["source"])


def add_recipe_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options that choose the encoder of an experiment, see `load_encoder`."""
    parser.add_argument("--recipe", default=default, help="recipe whose encoder and preprocessing are used")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a value of the recipe; may be repeated"
    )


def add_radiograph_options(parser: argparse.ArgumentParser) -> None:
    """Add the options about the radiographs and the probes of an experiment, see `load_radiographs`."""
    parser.add_argument("corpora", nargs="+", type=Path, metavar="CORPUS", help="corpora in the layout nih")
    add_recipe_options(parser, "chest_image_128")
    parser.add_argument(
        "--validation-source",
        action="append",
        default=[],
        metavar="SOURCE",
        help="source of validation radiographs, for corpora with a column `source`; may be repeated; default: all",
    )
    parser.add_argument("--strength", type=float, default=0.01, help="L2 penalty of the probe")


def load_encoder(recipe_name: str, settings: Sequence[str]) -> tuple[ImageEncoder, ImageTransform]:
    """Return the encoder of a recipe with its pretrained weights, and its image transform.

    Raises:
        RecipeError: The recipe cannot be loaded.
        UsageError: It has no pretrained encoder.
    """
    recipe = load_recipe(recipe_name, settings)
    if recipe.model.encoder_weights is None:
        raise UsageError(f"{recipe_name}: has no encoder_weights; give a recipe with a pretrained encoder")
    config = recipe.model.encoder
    encoder = ImageEncoder(
        name=config.name, arguments=dict(config.arguments), image_size=config.image_size, channels=config.channels
    ).eval()
    fill_encoder(encoder, recipe)
    return encoder, image_transform(recipe)


def encode(
    encoder: ImageEncoder, paths: Sequence[str], transform: ImageTransform, cache: Path, name: str
) -> torch.Tensor:
    """Return the mean patch features [S,D_img] of images, preprocessed as in training.

    Raises:
        CorpusError: An image cannot be read.
    """
    return encode_patches(encoder, paths, transform, cache, name, pooled=encoder.grid).squeeze(1).double()


@torch.inference_mode()
def encode_patches(
    encoder: ImageEncoder, paths: Sequence[str], transform: ImageTransform, cache: Path, name: str, *, pooled: int
) -> torch.Tensor:
    """Return patch features [S,P,D_img] of images, preprocessed as in training and averaged over squares of patches.

    Args:
        encoder: The encoder, with a grid of patches.
        paths: S images.
        transform: Their preprocessing.
        cache: Folder for the decoded images.
        name: Name of the images in the progress bar.
        pooled: Rows and columns of patches that are averaged.

    Raises:
        CorpusError: An image cannot be read.
    """
    with bars() as progress:
        images, unreadable = cache_images(
            cache,
            paths,
            transform,
            on_progress=lambda what, done, total: progress.show(f"{name}: {what}", done, total),
        )
        if unreadable:
            raise CorpusError(f"{unreadable[0].path}: {unreadable[0].reason}")
        batches = range(0, len(paths), _BATCH)
        features = [
            _pool(encoder(transform.normalize(_squares(images, paths[start : start + _BATCH]))), encoder.grid, pooled)
            for start in progress.track(batches, total=len(batches), description=f"{name}: features")
        ]
    return torch.cat(features)


def _pool(features: torch.Tensor, grid: int, pooled: int) -> torch.Tensor:
    """Average patch features [n,grid*grid,D] over squares of patches."""
    rows = features.transpose(1, 2).reshape(len(features), -1, grid, grid)  # [n,D,grid,grid]
    return F.avg_pool2d(rows, pooled).flatten(2).transpose(1, 2)


def fit_and_predict(features: torch.Tensor, targets: Floats, fitted: NDArray[np.bool_], strength: float) -> Floats:
    """Fit a logistic regression with an L2 penalty for every finding, and return its probabilities [S,F].

    Args:
        features: [S,D_img].
        targets: [S,F], 0..1.
        fitted: [S], the radiographs to fit to.
        strength: Factor of the squared weights in the loss; the features are standardized.
    """
    rows, truth = torch.from_numpy(fitted), torch.from_numpy(targets)
    deviation, mean = torch.std_mean(features[rows], dim=0)
    values = (features - mean) / deviation.clamp_min(1e-6)
    weights = torch.zeros(values.shape[1], truth.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(truth.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        likelihood = F.binary_cross_entropy_with_logits(values[rows] @ weights + bias, truth[rows])
        total = likelihood + strength * weights.square().sum() / truth.shape[1]
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        probabilities: Floats = torch.sigmoid(values @ weights + bias).numpy()
    return probabilities


def _squares(images: ImageCache, paths: Sequence[str]) -> torch.Tensor:
    """Return decoded images [n,size,size] in 0..1."""
    return torch.from_numpy(np.stack([images.read(Path(path)) for path in paths])).float() / 255
