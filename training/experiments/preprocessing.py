"""Measure how each preprocessing step changes the detection of findings.

    python -m report_gen_training.experiments.preprocessing ../shared/data/nih_cxr

For every arm (no step, each step alone, combinations) all radiographs are preprocessed and encoded by the frozen
encoder of a checkpoint. A linear probe is fitted to the mean patch features in the same way for every arm. It is scored
on the validation patients after fitting to the training patients, and by cross-validation over both. Test patients are
not used.
OUTPUT gets preprocessing.md and preprocessing.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from report_gen.config import (
    ClaheStep,
    CropBandsStep,
    CropBordersStep,
    MedianStep,
    NonLocalMeansStep,
    PercentilesStep,
    PreprocessingStep,
)
from report_gen.errors import CorpusError
from report_gen.files import write_atomically
from report_gen.imaging.transform import ImageTransform
from report_gen.metrics import Difference, Floats, Score, auroc_scores, compare_mean_auroc
from report_gen.model import EMBEDDED, load_checkpoint
from report_gen.terminal import run_app

from .linear_probe import Radiographs, encode, fit_and_predict, load_radiographs

_BORDERS, _BANDS = CropBordersStep(name="crop_borders"), CropBandsStep(name="crop_bands")
_MEDIAN, _MEANS = MedianStep(name="median"), NonLocalMeansStep(name="non_local_means")
_CLAHE, _PERCENTILES = ClaheStep(name="clahe"), PercentilesStep(name="percentiles")
NO_STEP = "no step"
ARMS: Mapping[str, tuple[PreprocessingStep, ...]] = {
    NO_STEP: (),
    **{step.name: (step,) for step in (_BORDERS, _BANDS, _MEDIAN, _MEANS, _CLAHE, _PERCENTILES)},
    "both crops, percentiles": (_BORDERS, _BANDS, _PERCENTILES),
    "both crops, percentiles, clahe": (_BORDERS, _BANDS, _PERCENTILES, _CLAHE),
}
"""The compared steps with their default parameters."""


@dataclass(frozen=True, kw_only=True)
class ArmScores:
    """Mean AUROC of one arm on one set of radiographs."""

    mean: Score
    gain: Difference
    """Against no step."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    radiographs = load_radiographs(options.corpora)
    checkpoint = load_checkpoint(options.checkpoint, base=options.base)
    config, encoder = checkpoint.model.config.encoder, checkpoint.model.encoder.eval()
    held_out: dict[str, Floats] = {}
    crossed: dict[str, Floats] = {}
    for name, steps in ARMS.items():
        transform = ImageTransform.from_config(config, steps)
        features = encode(encoder, radiographs.paths, transform, options.output / "cache", name)
        held_out[name] = predict_validation(features, radiographs, options.strength)
        crossed[name] = cross_validate(features, radiographs, options.strength, options.folds)
    scores = {
        name: {
            "validation": score(radiographs, held_out, name, radiographs.validation, options.draws),
            "cross-validation": score(radiographs, crossed, name, np.ones_like(radiographs.validation), options.draws),
        }
        for name in ARMS
    }
    table = render(scores, radiographs)
    write_atomically(options.output / "preprocessing.md", table)
    values = {arm: {kind: asdict(one) for kind, one in row.items()} for arm, row in scores.items()}
    write_atomically(options.output / "preprocessing.json", json.dumps(values, indent=2) + "\n")
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def predict_validation(features: torch.Tensor, radiographs: Radiographs, strength: float) -> Floats:
    """Return probabilities [S,F] of a probe that is fitted to the training patients."""
    return fit_and_predict(features, radiographs.targets, ~radiographs.validation, strength)


def cross_validate(features: torch.Tensor, radiographs: Radiographs, strength: float, folds: int) -> Floats:
    """Return probabilities [S,F], each from a probe that is fitted to the patients of the other folds."""
    patients, indices = np.unique(radiographs.patients, return_inverse=True)
    fold = (np.random.default_rng(0).permutation(len(patients)) % folds)[indices]  # [S]
    probabilities = np.empty_like(radiographs.labels)
    for number in range(folds):
        own = fold == number
        probabilities[own] = fit_and_predict(features, radiographs.targets, ~own, strength)[own]
    return probabilities


def score(
    radiographs: Radiographs,
    probabilities: Mapping[str, Floats],
    arm: str,
    chosen: NDArray[np.bool_],
    draws: int,
) -> ArmScores:
    """Score an arm on the chosen radiographs, and compare it with no step on the same radiographs.

    Raises:
        CorpusError: No finding has enough positive and negative radiographs.
    """
    labels, own = radiographs.labels[chosen], probabilities[arm][chosen]
    base = probabilities[NO_STEP][chosen]
    gain = compare_mean_auroc(radiographs.findings, base, own, labels, draws=draws, seed=0)
    if gain is None:
        raise CorpusError("no finding has enough positive and negative radiographs for an AUROC; add a corpus")
    mean, *_ = auroc_scores(radiographs.findings, own, labels, draws=draws, seed=0)
    return ArmScores(mean=mean, gain=gain)


def render(scores: Mapping[str, Mapping[str, ArmScores]], radiographs: Radiographs) -> str:
    """Return the results as a Markdown table."""
    kinds = list(next(iter(scores.values())))
    count = {"validation": int(radiographs.validation.sum()), "cross-validation": len(radiographs.paths)}
    lines = [
        f"| steps | {' | '.join(f'{kind}, {count[kind]} radiographs | gain' for kind in kinds)} |",
        f"|---|{'---|---|' * len(kinds)}",
    ]
    for arm, row in scores.items():
        cells = [cell for kind in kinds for cell in _cells(row[kind], is_base=arm == NO_STEP)]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(one: ArmScores, *, is_base: bool) -> tuple[str, str]:
    low, high = one.mean.interval or (np.nan, np.nan)
    gain = f"{one.gain.second - one.gain.first:+.3f} ({one.gain.interval[0]:+.3f} to {one.gain.interval[1]:+.3f})"
    return f"{one.mean.value:.3f} ({low:.3f} to {high:.3f})", "" if is_base else gain


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.preprocessing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpora", nargs="+", type=Path, metavar="CORPUS", help="corpora in the layout nih")
    parser.add_argument("--checkpoint", type=Path, default=EMBEDDED, help="checkpoint whose encoder is used")
    parser.add_argument("--base", metavar="NAME", help="base of a checkpoint that is an adapter")
    parser.add_argument("--output", type=Path, default=Path("experiments/preprocessing"), help="folder for results")
    parser.add_argument("--folds", type=int, default=5, help="folds of the cross-validation")
    parser.add_argument("--strength", type=float, default=0.01, help="L2 penalty of the probe")
    parser.add_argument("--draws", type=int, default=2000, help="bootstrap draws of the intervals")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
