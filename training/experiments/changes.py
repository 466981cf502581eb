"""Fit and measure how findings change between two studies of a patient, with the follow-ups of ChestX-ray14.

    python -m report_gen_training.experiments.changes ../shared/data --output experiments/changes [--test]

The corpora, and the split of their patients, are those of a recipe (`--recipe`). Every study is paired with the one
before it. Parameters are fitted to the pairs of training patients, limits are chosen on those of validation patients.
With `--test`, the pairs of test patients are scored as well; they choose nothing. OUTPUT gets changes.md, the features
of the images, and changes.json: the parameters for the key `changes` of a checkpoint's config.json.

Four ways to score a change are compared, on the findings that at least one study of a pair shows:

- constant: every finding is unchanged;
- difference: the difference of the two calibrated probabilities;
- joint: the joint probability of both studies (`report_gen/model/finding_changes.py`);
- head: a head on the features of both studies (`temporal_head.py`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from report_gen.config import ChangeConfig
from report_gen.files import write_atomically
from report_gen.metrics import Floats
from report_gen.model import Checkpoint, decide_changes, load_checkpoint, resolve_device
from report_gen.records import FindingState
from report_gen.terminal import run_app

from ..calibration import fit_changes, predict_changes
from .change_scores import PairScores, ScoredPairs, choose_limit, difference_scores, relative_scores, score_changes
from .follow_up_images import FollowUpImages, load_follow_ups
from .temporal_head import PairedFindings, TemporalHead, negative_log_likelihood, train_head

_DECAYS = (1.0, 5.0, 20.0)
"""Weight decays of the direction of the head, of which validation pairs choose one."""
_DRAWS = 2000


class _Head(NamedTuple):
    """A trained head with the standardization of its features."""

    head: TemporalHead
    mean: torch.Tensor
    """[F,D]."""
    deviation: torch.Tensor
    """[F,D]."""
    decay: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    checkpoint = load_checkpoint(options.checkpoint)
    images = load_follow_ups(
        options.recipe, options.data, checkpoint, cache=options.output, device=resolve_device(options.device)
    )
    trained = images.labeled & np.array(checkpoint.model.config.findings.reported)
    config = fit_changes(images.pairs("train"), trained=trained.tolist(), threshold=options.threshold)
    head = _choose_head(images, trained, options.seed)
    validation = _scores(images, "val", config, head, trained)
    limits = {name: choose_limit(validation.pairs, scores) for name, scores in validation.methods.items()}
    splits = {"val": validation}
    if options.test:
        splits["test"] = _scores(images, "test", config, head, trained)
    lines = [f"Head: weight decay {head.decay:g}. Limits: " + ", ".join(f"{k} {v:.3f}" for k, v in limits.items()), ""]
    for split, scored in splits.items():
        lines += [*_table(split, scored, limits, options.seed), *_stated(images, split, config, checkpoint), ""]
    table = "\n".join(lines)
    write_atomically(options.output / "changes.md", table)
    write_atomically(options.output / "changes.json", json.dumps(config.model_dump(), indent=2) + "\n")
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


class _Scored(NamedTuple):
    pairs: ScoredPairs
    methods: Mapping[str, PairScores]
    likelihoods: Mapping[str, float]
    """Mean negative log-likelihood of the four cases by the methods that give their probabilities."""


def _scores(
    images: FollowUpImages, split: str, config: ChangeConfig, head: _Head, trained: NDArray[np.bool_]
) -> _Scored:
    """Score the pairs of a split with every method."""
    pairs = images.pairs(split)
    cells = pairs.cells()[:, trained]
    joint = predict_changes(pairs, config)[:, trained]
    with torch.inference_mode():
        found = images.paired_findings(split, trained)
        logits = torch.cat([head.head(_standardized(found.rows(rows), head)) for rows in _blocks(len(cells))])
        likelihood = negative_log_likelihood(logits, torch.from_numpy(cells)).item()
    learned = logits.softmax(-1)[..., :3].double().numpy()
    independent = predict_changes(pairs, _independent(config))[:, trained]
    return _Scored(
        ScoredPairs(cells, images.patients(split)),
        {
            "difference": difference_scores(pairs.prior[:, trained], pairs.present[:, trained]),
            "joint": relative_scores(joint),
            "head": relative_scores(learned),
        },
        {
            "independent": _likelihood(independent, cells),
            "joint": _likelihood(joint, cells),
            "head": likelihood,
        },
    )


def _independent(config: ChangeConfig) -> ChangeConfig:
    zeros = (0.0,) * len(config.trained)
    return config.model_copy(update={"scale": 1.0, "bias": zeros, "persistence": zeros})


def _likelihood(probabilities: Floats, cells: NDArray[np.bool_]) -> float:
    all_cells = np.concatenate([probabilities, 1 - probabilities.sum(-1, keepdims=True)], axis=-1)
    return float(-np.log(all_cells[cells].clip(1e-9)).mean())


def _choose_head(images: FollowUpImages, trained: NDArray[np.bool_], seed: int) -> _Head:
    """Train a head with each weight decay, and return the one that fits the validation pairs best."""
    pairs, held_out = images.paired_findings("train", trained), images.paired_findings("val", trained)
    cells = torch.from_numpy(images.pairs("train").cells()[:, trained])
    truth = torch.from_numpy(images.pairs("val").cells()[:, trained])
    deviation, mean = torch.std_mean(pairs.features.float(), dim=0)
    heads: list[tuple[float, _Head]] = []
    for decay in _DECAYS:
        untrained = _Head(TemporalHead(*mean.shape), mean, deviation.clamp_min(1e-3), decay)
        head = untrained._replace(
            head=train_head(_standardized(pairs, untrained), cells, decay=decay, seed=seed),
        )
        with torch.inference_mode():
            heads.append((negative_log_likelihood(head.head(_standardized(held_out, head)), truth).item(), head))
    return min(heads, key=lambda pair: pair[0])[1]


def _standardized(pairs: PairedFindings, head: _Head) -> PairedFindings:
    """Return pairs with standardized features in half precision, which halves their memory."""

    def standardize(features: torch.Tensor) -> torch.Tensor:
        return ((features - head.mean) / head.deviation).to(features.dtype)

    return pairs._replace(prior_features=standardize(pairs.prior_features), features=standardize(pairs.features))


def _blocks(count: int) -> tuple[torch.Tensor, ...]:
    return tuple(torch.split(torch.arange(count), 512))


def _table(split: str, scored: _Scored, limits: Mapping[str, float], seed: int) -> list[str]:
    """Return a Markdown table with the scores of every method, with 95% intervals over patients."""
    counts = scored.pairs.cells.sum((0, 1))
    patients = len(set(scored.pairs.patients))
    lines = [
        f"{split}: {len(scored.pairs.patients)} pairs of {patients} patients; findings new {counts[0]}, unchanged "
        f"{counts[1]}, resolved {counts[2]}, absent in both {counts[3]}.",
        "",
        "| method | AUROC new | AUROC unchanged | AUROC resolved | balanced accuracy | nats per finding |",
        "|---|---|---|---|---|---|",
        "| constant | 0.500 | 0.500 | 0.500 | 0.333 | |",
    ]
    for name, scores in scored.methods.items():
        found = score_changes(scored.pairs, scores, limits[name], draws=_DRAWS, seed=seed)
        cells = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in found]
        likelihood = f"{scored.likelihoods[name]:.4f}" if name in scored.likelihoods else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {likelihood} |")
    return [*lines, "", f"Independent studies: {scored.likelihoods['independent']:.4f} nats per finding.", ""]


def _stated(images: FollowUpImages, split: str, config: ChangeConfig, checkpoint: Checkpoint) -> list[str]:
    """Return how many changes drafts would state, and how many of them the labels confirm."""
    pairs = images.pairs(split)
    states = checkpoint.model.decide(torch.from_numpy(images.present_probabilities(split)))
    order = tuple(FindingState)
    probabilities = torch.from_numpy(predict_changes(pairs, config))
    cells, stated = pairs.cells(), {"new": [0, 0], "unchanged": [0, 0], "resolved": [0, 0]}
    for pair, row in enumerate(states.tolist()):
        changes = decide_changes(probabilities[pair], [order[state] for state in row], config.threshold)
        for finding, change in enumerate(changes):
            if change is not None and cells[pair, finding].any():
                counted = stated[change.value]
                counted[0] += 1
                counted[1] += int(cells[pair, finding, list(stated).index(change.value)])
    parts = ", ".join(f"{name} {right} of {all_}" for name, (all_, right) in stated.items())
    return [f"Changes that a draft states at the threshold {config.threshold:g}, and the labels confirm: {parts}."]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.changes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, metavar="FOLDER", help="folder of the corpora of the recipe")
    parser.add_argument("--recipe", default="chest_image_128", help="recipe with the corpora and the split of patients")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint folder; default: the embedded checkpoint")
    parser.add_argument("--output", type=Path, default=Path("experiments/changes"), help="folder for results")
    parser.add_argument("--threshold", type=float, default=0.4, help="minimum probability of a change that is stated")
    parser.add_argument("--test", action="store_true", help="score the pairs of test patients as well")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training of the head and of the intervals")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
