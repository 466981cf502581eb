"""Measure how real synthetic images look to an encoder, and whether they help to detect scarce findings.

    report-gen synthesize ../shared/data/nih_cxr ../shared/data/nih_more --generator generator
    python -m report_gen_training.experiments.synthetic_images ../shared/data/nih_cxr ../shared/data/nih_more \
        --generator generator

For each of the rarest findings, images are drawn with a trained generator: as many as there are training radiographs
with the finding, and twice as many. A linear probe is fitted to frozen features of the radiographs, with and without
the synthetic images, and scored on the validation radiographs. The control adds the radiographs with the findings once
more, reduced to the side of the synthetic images. Test patients are not used. OUTPUT gets synthetic_images.md.

The Frechet distance is that of Heusel et al. (2017, arXiv:1706.08500) on the features of this encoder instead of
Inception, reduced to their principal components because there are fewer images than features. It compares images with
the training radiographs that have the finding; all validation radiographs give the distance of other patients.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from report_gen.errors import CorpusError, UsageError
from report_gen.files import write_atomically
from report_gen.imaging import encode_synthetic
from report_gen.labeling import chest_xray
from report_gen.metrics import Difference, Floats, auroc_scores, compare_mean_auroc
from report_gen.terminal import bars, run_app

from ..synthesis import TrainingImages, draw_images, load_generator, read_training_images
from .linear_probe import (
    Radiographs,
    add_radiograph_options,
    encode,
    fit_and_predict,
    load_encoder,
    load_radiographs,
)

_LEAST_POSITIVE = 5
"""Fewest validation radiographs with a finding, as for an AUROC in a score."""
_COMPONENTS = 32
"""Principal components that the Frechet distance compares."""
_DRAWS = 2000

Examples = tuple[torch.Tensor, Floats]
"""Features [n,D_img] and targets [n,F] of images."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    radiographs = load_radiographs(options.corpora, validation_sources=options.validation_source)
    generator, digest = load_generator(options.generator)
    findings = rarest_findings(radiographs, options.findings)
    with bars() as progress:
        size, cache = generator.recipe.size, options.output / "cache"
        images = read_training_images(options.corpora, chest_xray(), size=size, cache=cache, on_progress=progress.show)
        if images.sha256 != digest:
            raise UsageError(f"{options.generator}: was trained on other images; give the same corpora")
        drawn = {
            name: draw_images(generator, images, name, 2 * _count(radiographs, name), on_progress=progress.show)
            for name in findings
        }
    encoder, transform = load_encoder(options.recipe, options.set)

    def encode_files(paths: Sequence[str], task: str) -> torch.Tensor:
        return encode(encoder, paths, transform, cache, task)

    features = encode_files(radiographs.paths, "radiographs")
    synthetic = {
        name: encode_files(_write_images(options.output / "images", one.pixels), f"synthetic, {name}")
        for name, one in drawn.items()
    }
    repeated = _repeated(radiographs, images, findings)
    reduced = encode_files(_write_images(options.output / "images", images.pixels[repeated.images]), "reduced")
    targets = {name: _targets(one.labels, radiographs) for name, one in drawn.items()}
    counts = {name: _count(radiographs, name) for name in findings}
    arms = {
        "synthetic, 1x": _joined(
            [(synthetic[name][: counts[name]], targets[name][: counts[name]]) for name in findings]
        ),
        "synthetic, 2x": _joined([(synthetic[name], targets[name]) for name in findings]),
        "the radiographs once more, reduced": (reduced, radiographs.targets[repeated.radiographs]),
    }
    table = (
        render_distances(radiographs, features, synthetic)
        + "\n"
        + render_gains(radiographs, features, findings, arms, options.strength)
    )
    write_atomically(options.output / "synthetic_images.md", table)
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def rarest_findings(radiographs: Radiographs, number: int) -> list[str]:
    """Return the findings with the fewest training radiographs of those with at least 5 validation radiographs.

    Raises:
        CorpusError: There are fewer such findings.
    """
    validation = radiographs.labels[radiographs.validation].sum(axis=0)
    usable = [name for name, count in zip(radiographs.findings, validation, strict=True) if count >= _LEAST_POSITIVE]
    usable = [name for name in usable if _count(radiographs, name)]
    if len(usable) < number:
        raise CorpusError(f"{len(usable)} findings have {_LEAST_POSITIVE} validation radiographs; give --findings")
    return sorted(usable, key=lambda name: _count(radiographs, name))[:number]


def frechet_distance(first: Floats, second: Floats) -> float:
    """Return the Frechet distance between two sets of features, [n,D] and [m,D], each taken as a normal distribution.

    ||a - b||^2 + tr(A + B - 2 (A B)^(1/2)) with means a, b and covariances A, B (Dowson and Landau, 1982).
    """
    means = first.mean(axis=0), second.mean(axis=0)
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # The eigenvalues of A B are those of the symmetric positive matrix A^(1/2) B A^(1/2).
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ covariances[1] @ root)
    trace = np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.sqrt(shared.clip(0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + trace)


def render_distances(radiographs: Radiographs, features: torch.Tensor, synthetic: Mapping[str, torch.Tensor]) -> str:
    """Return the Frechet distances as a Markdown table.

    Args:
        radiographs: The S radiographs.
        features: [S,D_img] of the radiographs.
        synthetic: [n,D_img] of the synthetic images by finding.
    """
    training = features[torch.from_numpy(~radiographs.validation)]
    mean = training.mean(0)
    _, _, components = torch.pca_lowrank(training - mean, q=_COMPONENTS, center=False)

    def project(values: torch.Tensor) -> Floats:
        projected: Floats = ((values - mean) @ components).numpy()
        return projected

    lines = [
        "| finding | training radiographs | synthetic images | their distance | distance of validation radiographs |",
        "|---|---|---|---|---|",
    ]
    validation = project(features[torch.from_numpy(radiographs.validation)])
    for name, values in synthetic.items():
        positive = _rows(radiographs, name) & ~radiographs.validation
        real = project(features[torch.from_numpy(positive)])
        distances = [frechet_distance(real, other) for other in (project(values), validation)]
        lines.append(f"| {name} | {len(real)} | {len(values)} | {distances[0]:.2f} | {distances[1]:.2f} |")
    return "\n".join(lines) + "\n"


def render_gains(
    radiographs: Radiographs,
    features: torch.Tensor,
    findings: Sequence[str],
    arms: Mapping[str, Examples],
    strength: float,
) -> str:
    """Return the AUROC of the findings with and without added images as a Markdown table.

    Args:
        radiographs: The S radiographs.
        features: [S,D_img] of the radiographs.
        findings: The findings that images were added for.
        arms: What is added to the training radiographs, by name.
        strength: L2 penalty of the probes.
    """
    columns = [radiographs.findings.index(name) for name in findings]
    chosen, labels = radiographs.validation, radiographs.labels[radiographs.validation][:, columns]
    nothing = features[:0], radiographs.targets[:0]
    predicted = {
        name: _fit(radiographs, features, added, strength)[chosen][:, columns]
        for name, added in {"radiographs only": nothing, **arms}.items()
    }
    base = predicted["radiographs only"]
    lines = [
        f"Validation: {int(chosen.sum())} radiographs.",
        "",
        f"| training of the probe | {' | '.join(findings)} | mean | gain of the mean, 95% interval, p |",
        "|---" * (len(findings) + 3) + "|",
    ]
    for name, probabilities in predicted.items():
        scores = {one.name: one.value for one in auroc_scores(findings, probabilities, labels, draws=0, seed=0)}
        difference = compare_mean_auroc(findings, base, probabilities, labels, draws=_DRAWS, seed=0)
        if difference is None:
            raise CorpusError("too few positive or negative validation radiographs for an AUROC; add a corpus")
        gain = "" if probabilities is base else _gain(difference)
        values = " | ".join(f"{scores[f'{finding} AUROC']:.3f}" for finding in findings)
        lines.append(f"| {name} | {values} | {difference.second:.3f} | {gain} |")
    return "\n".join(lines) + "\n"


def _gain(difference: Difference) -> str:
    lower, upper = difference.interval
    return (
        f"{difference.second - difference.first:+.3f} ({lower:+.3f} to {upper:+.3f}), p = {difference.p_bootstrap:.3f}"
    )


def _fit(radiographs: Radiographs, features: torch.Tensor, added: Examples, strength: float) -> Floats:
    """Fit a probe to the training radiographs and added examples. Return the probabilities [S,F] of the radiographs."""
    count = len(features)
    fitted = np.concatenate([~radiographs.validation, np.ones(len(added[0]), dtype=np.bool_)])
    targets = np.concatenate([radiographs.targets, added[1]])
    return fit_and_predict(torch.cat([features, added[0]]), targets, fitted, strength)[:count]


def _write_images(folder: Path, pixels: NDArray[np.uint8]) -> list[str]:
    """Write images [n,size,size] as marked PNG files, which the encoder reads without the mark. Return the paths."""
    paths = []
    for one in pixels:
        path = folder / f"{hashlib.sha256(one.tobytes()).hexdigest()[:24]}.png"
        write_atomically(path, encode_synthetic(one, "Image of an experiment."))
        paths.append(str(path))
    return paths


class _Repeated(NamedTuple):
    """The training radiographs with one of the findings: indices among the radiographs and the training images."""

    radiographs: NDArray[np.int64]
    images: NDArray[np.int64]


def _repeated(radiographs: Radiographs, images: TrainingImages, findings: Sequence[str]) -> _Repeated:
    places = {path: number for number, path in enumerate(images.paths)}
    positive = np.logical_or.reduce([_rows(radiographs, name) for name in findings]) & ~radiographs.validation
    chosen = [one for one in np.flatnonzero(positive) if radiographs.paths[one] in places]
    return _Repeated(np.array(chosen), np.array([places[radiographs.paths[one]] for one in chosen]))


def _targets(labels: Floats, radiographs: Radiographs) -> Floats:
    """Return the labels [n,F] of synthetic images for the findings of the radiographs; unknown ones count as absent."""
    schema = chest_xray()
    return np.nan_to_num(labels[:, [schema.index(name) for name in radiographs.findings]])


def _joined(parts: Sequence[Examples]) -> Examples:
    return torch.cat([features for features, _ in parts]), np.concatenate([targets for _, targets in parts])


def _rows(radiographs: Radiographs, name: str) -> NDArray[np.bool_]:
    positive: NDArray[np.bool_] = radiographs.labels[:, radiographs.findings.index(name)] == 1
    return positive


def _count(radiographs: Radiographs, name: str) -> int:
    """Return the number of training radiographs with a finding."""
    return int((_rows(radiographs, name) & ~radiographs.validation).sum())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.synthetic_images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_radiograph_options(parser)
    parser.add_argument("--generator", type=Path, required=True, help="folder of the generator of these corpora")
    parser.add_argument("--findings", type=int, default=3, metavar="N", help="number of findings, the rarest first")
    parser.add_argument("--output", type=Path, default=Path("experiments/synthetic_images"), help="folder for results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
