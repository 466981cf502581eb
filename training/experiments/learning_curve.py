"""Measure how the detection of findings grows with the number of training patients.

    python -m report_gen_training.experiments.learning_curve ../shared/data/nih_cxr ../shared/data/nih_more

All radiographs are encoded once by the encoder of a recipe with its pretrained weights, which stay frozen. A linear
probe is fitted to the mean patch features of random parts of the training patients, each part drawn several times, and
scored on all validation patients. Test patients are not used. OUTPUT gets learning_curve.md, learning_curve.json and
learning_curve.png.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console

from report_gen.errors import CorpusError, UsageError
from report_gen.files import write_atomically
from report_gen.labeling import chest_xray
from report_gen.metrics import Floats, auroc_scores
from report_gen.terminal import run_app

from .linear_probe import Radiographs, add_radiograph_options, encode, fit_and_predict, load_encoder, load_radiographs

PARTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Parts of the training patients that probes are fitted to."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """AUROC on the validation radiographs after fitting to random parts of the training patients of one size."""

    patients: int
    radiographs: float
    """Mean number of training radiographs."""
    mean_auroc: tuple[float, ...]
    """Mean AUROC over the findings with enough validation radiographs, "No Finding" left out; one per drawn part."""
    normal_auroc: tuple[float, ...]
    """AUROC of "No Finding"; one per drawn part."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    if options.repeats < 1:
        raise UsageError(f"--repeats {options.repeats}: must be 1 or more")
    radiographs = load_radiographs(options.corpora, validation_sources=options.validation_source, with_normal=True)
    encoder, transform = load_encoder(options.recipe, options.set)
    features = encode(encoder, radiographs.paths, transform, options.output / "cache", "radiographs")
    points = measure_curve(features, radiographs, options.strength, options.repeats)
    table = render(points, radiographs)
    write_atomically(options.output / "learning_curve.md", table)
    values = [asdict(point) for point in points]
    write_atomically(options.output / "learning_curve.json", json.dumps(values, indent=2) + "\n")
    write_atomically(options.output / "learning_curve.png", draw(points))
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def measure_curve(features: torch.Tensor, radiographs: Radiographs, strength: float, repeats: int) -> list[CurvePoint]:
    """Fit probes to parts of the training patients and score them on the validation radiographs.

    Args:
        features: [S,D_img].
        radiographs: The S radiographs.
        strength: L2 penalty of a probe.
        repeats: How often a part is drawn; all patients are drawn once.

    Raises:
        CorpusError: The validation radiographs do not suffice for an AUROC.
    """
    training = np.unique(radiographs.patients[~radiographs.validation])
    points = []
    for part in PARTS:
        count = round(part * len(training))
        draws = [draw_part(training, count, seed) for seed in range(repeats if part < 1 else 1)]
        fitted = [np.isin(radiographs.patients, chosen) & ~radiographs.validation for chosen in draws]
        scores = [_score(features, radiographs, rows, strength) for rows in fitted]
        points.append(
            CurvePoint(
                patients=count,
                radiographs=float(np.mean([rows.sum() for rows in fitted])),
                mean_auroc=tuple(score["mean"] for score in scores),
                normal_auroc=tuple(score["normal"] for score in scores),
            )
        )
    return points


def draw_part(patients: NDArray[np.str_], count: int, seed: int) -> NDArray[np.str_]:
    """Return so many random patients."""
    return np.random.default_rng(seed).choice(patients, count, replace=False)


def _score(
    features: torch.Tensor, radiographs: Radiographs, fitted: NDArray[np.bool_], strength: float
) -> Mapping[str, float]:
    probabilities: Floats = fit_and_predict(features, radiographs.targets, fitted, strength)
    chosen, normal = radiographs.validation, chest_xray().normal
    scores = auroc_scores(
        radiographs.findings, probabilities[chosen], radiographs.labels[chosen], draws=0, seed=0, derived=normal
    )
    named = {score.name: score.value for score in scores}
    mean = next((name for name in named if name.startswith("mean AUROC")), None)
    if mean is None or f"{normal} AUROC" not in named:
        raise CorpusError("too few positive or negative validation radiographs for an AUROC; add a corpus")
    return {"mean": named[mean], "normal": named[f"{normal} AUROC"]}


def render(points: Sequence[CurvePoint], radiographs: Radiographs) -> str:
    """Return the curve as a Markdown table; ranges are those over the drawn parts."""
    lines = [
        f"Validation: {int(radiographs.validation.sum())} radiographs.",
        "",
        '| training patients | radiographs | mean AUROC | "No Finding" |',
        "|---|---|---|---|",
    ]
    for point in points:
        mean, normal = format_range(point.mean_auroc), format_range(point.normal_auroc)
        lines.append(f"| {point.patients:,} | {point.radiographs:,.0f} | {mean} | {normal} |")
    return "\n".join(lines) + "\n"


def draw(points: Sequence[CurvePoint]) -> bytes:
    """Draw the AUROC over the number of training radiographs as a PNG: a line of means, and a dot for each part."""
    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    counts = [point.radiographs for point in points]
    for name, marker, values in (
        ("mean of the findings", "o", [point.mean_auroc for point in points]),
        ('"No Finding"', "s", [point.normal_auroc for point in points]),
    ):
        (line,) = axes.plot(counts, [np.mean(one) for one in values], label=name)
        for count, one in zip(counts, values, strict=True):
            axes.plot([count] * len(one), one, marker, color=line.get_color(), alpha=0.5, markersize=4)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [f"{count:,.0f}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("training radiographs")
    axes.set_ylabel("AUROC, validation patients")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def format_range(values: Sequence[float]) -> str:
    """Return the mean of values, and their range if there are several."""
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.learning_curve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_radiograph_options(parser)
    parser.add_argument("--output", type=Path, default=Path("experiments/learning_curve"), help="folder for results")
    parser.add_argument("--repeats", type=int, default=5, help="how often each part of the patients is drawn")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
