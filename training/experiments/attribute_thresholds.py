"""Choose from which probability on drafts may name modality, plane and body part, by cross-validation over the cases.

    python -m report_gen_training.experiments.attribute_thresholds ../shared/data/medpix2 --set data=../shared/data

The attribute heads are trained as in the first stage of a recipe, without the finding head and on features of a frozen
encoder that are averaged over 2x2 patches. Each fold of the training cases is predicted by heads that were trained on
the others. The thresholds of `calibration/attributes.py` for these predictions are printed, with the share of the
images that have at least the threshold, and the share of right values among them. OUTPUT gets
attribute_thresholds.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError, UsageError
from report_gen.files import write_atomically
from report_gen.metrics import Floats
from report_gen.model import Projector
from report_gen.records import AttributeName
from report_gen.terminal import bars, run_app

from ..calibration import fit_threshold
from ..data import is_held_out
from ..optimization import attribute_loss, set_rates
from ..recipe import StageRecipe, load_recipe
from .linear_probe import add_recipe_options, encode_patches, load_encoder

_POOLED = 2
"""Patches of a row and of a column that are averaged: a quarter of the time, at the same accuracy."""


@dataclass(frozen=True, eq=False)
class AttributeImages:
    """The S images of the training cases with their values of A attributes."""

    paths: tuple[str, ...]
    cases: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    """The values of each attribute, sorted."""
    targets: NDArray[np.int64]
    """[S,A], from 1; 0 if unknown."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    if options.folds < 2:
        raise UsageError(f"--folds {options.folds}: must be 2 or more")
    recipe = load_recipe(options.recipe, options.set)
    names = recipe.model.attributes
    images = load_images(options.corpus, names)
    encoder, transform = load_encoder(options.recipe, options.set)
    features = encode_patches(
        encoder, images.paths, transform, options.output / "cache", "images", pooled=min(_POOLED, encoder.grid)
    )
    predictions = cross_validate(
        features, images, recipe.stages[0], folds=options.folds, dropout=recipe.model.projector.dropout
    )
    table = render(predictions, images, names, dict(options.accuracy))
    write_atomically(options.output / "attribute_thresholds.md", table)
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def load_images(corpus: Path, names: Sequence[AttributeName]) -> AttributeImages:
    """Read the images of the training cases of a corpus in the layout `medpix`.

    Raises:
        CorpusError: The corpus cannot be read, or an attribute has fewer than two values.
    """
    rows = [row for row in read_corpus(corpus, layout="medpix") if row["split"] == "train"]
    values = tuple(tuple(sorted({row[name] for row in rows} - {""})) for name in names)
    if few := [name for name, known in zip(names, values, strict=True) if len(known) < 2]:
        raise CorpusError(f"{corpus}: fewer than two values of {', '.join(few)}; choose another corpus")
    targets = [[("", *known).index(row[name]) for name, known in zip(names, values, strict=True)] for row in rows]
    return AttributeImages(
        paths=tuple(row["images"][0] for row in rows),
        cases=tuple(row["patient_id"] for row in rows),
        values=values,
        targets=np.array(targets, dtype=np.int64),
    )


def cross_validate(
    features: torch.Tensor, images: AttributeImages, stage: StageRecipe, *, folds: int, dropout: float
) -> list[Floats]:
    """Return the probabilities [S,values] of each attribute, from heads that were not trained on the case of the image.

    Args:
        features: [S,P,D_img] patch features.
        images: The S images.
        stage: Steps, batch size, learning rate, weight decay and gradient norm of the training.
        folds: Number of parts of the cases. The first ones are, in order, what `hold_out` makes validation data.
        dropout: Dropout of the features.
    """
    inside = np.array([[is_held_out(case, (fold + 1) / folds) for fold in range(folds)] for case in images.cases])
    fold_of = folds - inside.sum(axis=1)  # the shares grow, so that a case is in all from its fold on
    predictions = [np.zeros((len(images.paths), len(known))) for known in images.values]
    with bars() as progress:
        for fold in progress.track(range(folds), total=folds, description="cross-validation"):
            heads = _train(features, images, np.flatnonzero(fold_of != fold), stage, dropout, seed=fold)
            held_out = np.flatnonzero(fold_of == fold)
            for rows in np.array_split(held_out, -(-len(held_out) // stage.batch_size)):
                for known, logits in zip(predictions, _predict(heads, features[rows]), strict=True):
                    known[rows] = logits.double().softmax(-1).numpy()
    return predictions


def _train(
    features: torch.Tensor,
    images: AttributeImages,
    rows: NDArray[np.intp],
    stage: StageRecipe,
    dropout: float,
    *,
    seed: int,
) -> Projector:
    """Train attribute heads on images."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    heads = Projector(
        findings=0,
        image_width=features.shape[-1],
        text_width=1,
        grid=round(features.shape[1] ** 0.5),
        patch_tokens=0,
        hidden=1,
        dropout=dropout,
        attributes=[len(known) for known in images.values],
    )
    matrices = [parameter for parameter in heads.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in heads.parameters() if parameter.ndim <= 1]
    rate = stage.rates.projector
    optimizer = torch.optim.AdamW(
        [
            {"params": matrices, "peak": rate, "weight_decay": stage.weight_decay},
            {"params": vectors, "peak": rate, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    for step in range(stage.steps):
        batch = random.choice(rows, min(stage.batch_size, len(rows)), replace=False)
        set_rates(optimizer, stage, step)
        targets = torch.from_numpy(images.targets[batch])
        loss = attribute_loss(_logits(heads, features[batch]), targets, torch.ones(len(batch)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(heads.parameters(), stage.clip)
        optimizer.step()
    return heads.eval()


@torch.inference_mode()
def _predict(heads: Projector, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return _logits(heads, features)


def _logits(heads: Projector, features: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the logits [B,values] of each attribute for patch features [B,P,D_img] of images without a known view."""
    views = torch.zeros(len(features), 1, dtype=torch.long)
    logits: tuple[torch.Tensor, ...] = heads(
        features.float().unsqueeze(1), views, torch.ones_like(views).bool()
    ).attribute_logits
    return logits


def render(
    predictions: Sequence[Floats],
    images: AttributeImages,
    names: Sequence[AttributeName],
    accuracies: Mapping[AttributeName, float],
) -> str:
    """Return the thresholds as a Markdown table."""
    lines = [
        f"{len(images.paths):,} images of {len(set(images.cases)):,} cases.",
        "",
        "| attribute | right | demanded | threshold | with at least the threshold | right among them |",
        "|---|---|---|---|---|---|",
    ]
    for index, name in enumerate(names):
        targets, probabilities = images.targets[:, index], predictions[index]
        certainties, chosen = probabilities.max(axis=1), probabilities.argmax(axis=1) + 1
        demanded = accuracies.get(name, 0.0)
        threshold = fit_threshold(certainties, chosen, targets, patients=images.cases, accuracy=demanded)
        known = targets > 0
        named, right = known & (certainties >= threshold), chosen == targets
        shares = (named.sum() / known.sum(), right[named].mean() if named.any() else np.nan)
        cells = (f"{right[known].mean():.3f}", f"{demanded:.2f}", f"{threshold:.3f}", *(f"{one:.3f}" for one in shares))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _accuracy(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.attribute_thresholds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="corpus in the layout medpix")
    add_recipe_options(parser, "ct_mr_slices")
    parser.add_argument(
        "--accuracy",
        type=_accuracy,
        nargs="+",
        default=[("modality", 0.97), ("plane", 0.9), ("body_part", 0.85)],
        metavar="NAME=SHARE",
        help="lower confidence bound that is demanded of the share of right values",
    )
    parser.add_argument("--folds", type=int, default=7, help="parts of the training cases")
    parser.add_argument(
        "--output", type=Path, default=Path("experiments/attribute_thresholds"), help="folder for results"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
