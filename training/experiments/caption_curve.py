"""Measure how captions that are copied from similar images improve with the number of training cases.

    python -m report_gen_training.experiments.caption_curve ../shared/data/medpix2

All images are encoded once by the encoder of a recipe with its pretrained weights. The caption of a validation image is
that of the nearest training image, or the one on which its neighbors agree most. Training images are those of random
parts of the training cases, each part drawn several times; a share of the training cases is the validation part. OUTPUT
gets caption_curve.md and caption_curve.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError, UsageError
from report_gen.files import write_atomically
from report_gen.generation import most_agreed
from report_gen.metrics import Floats, Pairs, cider_d, load_preset, rouge_l_coco
from report_gen.terminal import run_app

from ..data import is_held_out
from .learning_curve import PARTS, draw_part, format_range
from .linear_probe import add_recipe_options, encode, load_encoder

NEIGHBORS = 16
"""Nearest images whose captions vote."""


@dataclass(frozen=True, eq=False)
class CaptionedImages:
    """The S images of training cases, with a caption each."""

    paths: tuple[str, ...]
    cases: NDArray[np.str_]
    captions: tuple[str, ...]
    validation: NDArray[np.bool_]
    """[S], whether the case is held out."""


@dataclass(frozen=True, kw_only=True)
class CaptionPoint:
    """Scores of copied captions on the validation images; one per drawn part of the training cases."""

    cases: int
    images: float
    """Mean number of training images."""
    nearest: tuple[tuple[float, float], ...]
    """ROUGE-L and CIDEr-D of the captions of the nearest images."""
    agreed: tuple[tuple[float, float], ...]
    """The same for the captions on which the nearest images agree most."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    if options.repeats < 1:
        raise UsageError(f"--repeats {options.repeats}: must be 1 or more")
    images = load_images(options.corpus, hold_out=options.hold_out)
    encoder, transform = load_encoder(options.recipe, options.set)
    features = encode(encoder, images.paths, transform, options.output / "cache", "images")
    points = measure_curve(features.numpy(), images, options.repeats)
    table = render(points, images)
    write_atomically(options.output / "caption_curve.md", table)
    values = [asdict(point) for point in points]
    write_atomically(options.output / "caption_curve.json", json.dumps(values, indent=2) + "\n")
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def load_images(corpus: Path, *, hold_out: float) -> CaptionedImages:
    """Read the captioned images of the training cases of a corpus in the layout `medpix`.

    Args:
        corpus: Folder of the corpus.
        hold_out: Share of the training cases for validation, the same cases as in a recipe.

    Raises:
        CorpusError: The corpus cannot be read, or one of the parts has no images.
    """
    rows = [row for row in read_corpus(corpus, layout="medpix") if row["split"] == "train" and row["findings"].strip()]
    validation = np.array([is_held_out(row["patient_id"], hold_out) for row in rows], dtype=bool)
    if not validation.any() or validation.all():
        raise CorpusError(f"{corpus}: training and validation cases are needed; change --hold-out")
    return CaptionedImages(
        paths=tuple(row["images"][0] for row in rows),
        cases=np.array([row["patient_id"] for row in rows]),
        captions=tuple(row["findings"] for row in rows),
        validation=validation,
    )


def measure_curve(features: Floats, images: CaptionedImages, repeats: int) -> list[CaptionPoint]:
    """Copy captions from the images of parts of the training cases, and score them on the validation images.

    Args:
        features: [S,D_img].
        images: The S images.
        repeats: How often a part is drawn; all cases are drawn once.
    """
    training = np.unique(images.cases[~images.validation])
    spread = features[~images.validation].std(axis=0) + 1e-6
    values = (features - features[~images.validation].mean(axis=0)) / spread
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    similarity = values[images.validation] @ values.T  # [V,S]
    score = _scorer([images.captions[index] for index in np.flatnonzero(images.validation)], images)
    points = []
    for part in PARTS:
        count = max(1, round(part * len(training)))
        draws = [draw_part(training, count, seed) for seed in range(repeats if part < 1 else 1)]
        usable = [np.flatnonzero(np.isin(images.cases, chosen) & ~images.validation) for chosen in draws]
        points.append(
            CaptionPoint(
                cases=count,
                images=float(np.mean([len(rows) for rows in usable])),
                nearest=tuple(score(_copy(similarity, rows, images.captions, 1)) for rows in usable),
                agreed=tuple(score(_copy(similarity, rows, images.captions, NEIGHBORS)) for rows in usable),
            )
        )
    return points


def _copy(similarity: Floats, rows: NDArray[np.intp], captions: Sequence[str], neighbors: int) -> list[str]:
    """Return for each validation image the caption on which its nearest images among these rows agree most."""
    order = rows[np.argsort(-similarity[:, rows], axis=1, kind="stable")[:, :neighbors]]  # [V,neighbors]
    near = [[captions[index] for index in of_image] for of_image in order]
    return [texts[most_agreed(texts)] for texts in near]


def _scorer(references: Sequence[str], images: CaptionedImages) -> Callable[[Sequence[str]], tuple[float, float]]:
    """Return a function that gives ROUGE-L (coco) and CIDEr-D of drafts against these references."""
    preset = load_preset("raw")
    known = preset.known_words(images.captions)
    prepared = tuple(preset.prepare_references(references, known))

    def score(drafts: Sequence[str]) -> tuple[float, float]:
        pairs = Pairs(tuple(preset.prepare_predictions(drafts)), prepared)
        return float(rouge_l_coco(pairs).values[0]), float(cider_d(pairs).values[0])

    return score


def render(points: Sequence[CaptionPoint], images: CaptionedImages) -> str:
    """Return the curve as a Markdown table; ranges are those over the drawn parts."""
    held_out = images.cases[images.validation]
    lines = [
        f"Validation: {len(held_out)} images of {len(np.unique(held_out))} cases.",
        "",
        f"| training cases | images | 1-NN, ROUGE-L | CIDEr-D | agreement of {NEIGHBORS}, ROUGE-L | CIDEr-D |",
        "|---|---|---|---|---|---|",
    ]
    for point in points:
        cells = map(format_range, (*zip(*point.nearest, strict=True), *zip(*point.agreed, strict=True)))
        lines.append(f"| {point.cases:,} | {point.images:,.0f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.caption_curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="corpus in the layout medpix")
    add_recipe_options(parser, "ct_mr_slices")
    parser.add_argument("--hold-out", type=float, default=0.15, help="share of the training cases for validation")
    parser.add_argument("--output", type=Path, default=Path("experiments/caption_curve"), help="folder for results")
    parser.add_argument("--repeats", type=int, default=5, help="how often each part of the cases is drawn")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
