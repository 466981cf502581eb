"""Fit and judge how findings change between two studies of a patient, with the follow-ups of ChestX-ray14.

    python -m report_gen_training.experiments.changes ../shared/data --output experiments/changes [--test]

The corpora, and the split of their patients, are those of a recipe (`--recipe`). Every study is paired with the one
before it, and a finding is new, unchanged (present in both), resolved, or absent in both. The labels say nothing about
degrees, so "improved" and "worsened" cannot be judged. The joint probability of both studies
(`report_gen/model/finding_changes.py`) is fitted to the pairs of training patients and judged on those of validation
patients, who choose nothing. `--test` judges it on the pairs of test patients as well. It is compared with

- majority: the most frequent case, which is "absent";
- present: the present study alone, and how often the finding was there before in the training pairs;
- states: the difference of the states that each study alone gets (`ReportModel.decide`);
- probabilities: the difference of the two calibrated probabilities, without a fit.

OUTPUT gets changes.md, the finding logits of the images, and changes.json: the value of `changes` in the config.json of
a checkpoint. `--write` puts it into the checkpoint that was judged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from report_gen.config import STATES, ChangeConfig
from report_gen.files import write_atomically
from report_gen.metrics import Floats
from report_gen.model import (
    DECIDED_CHANGES,
    Checkpoint,
    decide_changes,
    find_checkpoint,
    load_checkpoint,
    read_config,
    replace_config,
    resolve_device,
)
from report_gen.records import FindingState
from report_gen.terminal import run_app

from ..calibration import LabeledPairs, fit_changes, predict_changes
from .change_scores import (
    CASES,
    JudgedPairs,
    call_by_probabilities,
    call_by_states,
    cases_by_present,
    difference_scores,
    estimate,
)
from .follow_up_images import FollowUpImages, load_follow_ups

_DRAWS = 2000
_PRESENT = STATES.index(FindingState.PRESENT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    checkpoint = load_checkpoint(options.checkpoint)
    device = resolve_device(options.device)
    images = load_follow_ups(options.recipe, options.data, checkpoint, cache=options.output, device=device)
    trained = images.labeled & np.array(checkpoint.model.config.findings.reported)
    config = fit_changes(images.pairs("train"), trained=trained.tolist(), threshold=options.threshold)
    splits = ("val", "test") if options.test else ("val",)
    table = "\n".join(line for split in splits for line in _judge(images, split, config, checkpoint, options.seed))
    write_atomically(options.output / "changes.md", table)
    write_atomically(options.output / "changes.json", json.dumps(config.model_dump(), indent=2) + "\n")
    if options.write:
        folder = find_checkpoint(options.checkpoint)
        replace_config(folder, read_config(folder).model_copy(update={"changes": config}))
    Console().print(table, soft_wrap=True, highlight=False, markup=False)


def _judge(
    images: FollowUpImages, split: str, config: ChangeConfig, checkpoint: Checkpoint, seed: int
) -> Iterator[str]:
    """Yield the lines of the table of a split."""
    columns = np.flatnonzero(config.trained)
    names = [checkpoint.model.config.finding_schema.findings[column] for column in columns]
    pairs, training = images.pairs(split), images.pairs("train").cells()[:, columns]
    judged = JudgedPairs(pairs.cells()[:, columns], images.patients(split), draws=_DRAWS, seed=seed)
    joint = _all_cases(predict_changes(pairs, config)[:, columns])  # [P,F,4]
    states, states_before = (_decide(checkpoint, one) for one in (pairs.present, pairs.prior))
    by_states = call_by_states(states_before[:, columns] == _PRESENT, states[:, columns] == _PRESENT)
    frequencies = training.sum(0) / training.any(-1).sum(0)[:, None]  # [F,4]
    by_present = call_by_probabilities(cases_by_present(pairs.present[:, columns], frequencies), frequencies)
    calls = (by_present, by_states, call_by_probabilities(joint, frequencies))
    accuracies = [judged.balanced_accuracy(one) for one in calls]
    areas = [judged.auroc(joint[..., case], case) for case in range(3)]
    yield (
        f"{split}: {len(joint)} pairs of {judged.patients} patients. Balanced accuracy of the four cases (majority: "
        "0.250) and AUROC of a case against the three others; 95% intervals over patients."
    )
    yield ""
    heads = ["finding", *CASES, "present", "states", "joint", "joint - states", *(f"AUROC {one}" for one in CASES[:3])]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    scores = [*accuracies, accuracies[2] - accuracies[1], *areas]
    for column, name in enumerate(names):
        counts = judged.cells[:, column].sum(0)
        enough = column in judged.frequent
        cells = [str(estimate(one[:, column])) if enough else "" for one in scores]
        yield f"| {' | '.join([name, *map(str, counts), *cells])} |"
    counts = judged.cells.sum((0, 1))
    cells = [str(estimate(judged.mean(one))) for one in scores]
    yield f"| {' | '.join([f'mean of {len(judged.frequent)}', *map(str, counts), *cells])} |"
    yield ""
    yield from _ranking(pairs, judged, joint, columns, frequencies, config)
    yield from _stated(judged, pairs, states, by_states, columns, config)


def _ranking(
    pairs: LabeledPairs,
    judged: JudgedPairs,
    joint: Floats,
    columns: NDArray[np.intp],
    frequencies: Floats,
    config: ChangeConfig,
) -> Iterator[str]:
    """Yield how the joint probability compares with the probabilities of the studies alone."""
    prior, present = pairs.prior[:, columns], pairs.present[:, columns]
    for name, alone in (
        ("the difference of the probabilities", difference_scores(prior, present)),
        ("the probability in the present study", np.stack([present] * 3, axis=-1)),
    ):
        parts = []
        for case in range(3):
            found, baseline = judged.auroc(joint[..., case], case), judged.auroc(alone[..., case], case)
            means = [judged.mean(one) for one in (baseline, found - baseline)]
            parts.append(f"{CASES[case]} {estimate(means[0])}, joint {estimate(means[1])} above")
        yield f"Mean AUROC of {name}: {'; '.join(parts)}."
    independent = _all_cases(predict_changes(pairs, _independent(config))[:, columns])
    nats = {
        "frequencies of the training pairs": _nats(np.broadcast_to(frequencies, joint.shape), judged),
        "present study alone": _nats(cases_by_present(present, frequencies), judged),
        "independent studies": _nats(independent, judged),
        "joint": _nats(joint, judged),
    }
    yield (
        "Negative log-likelihood of a case, nats: " + ", ".join(f"{name} {one:.4f}" for name, one in nats.items()) + "."
    )


def _stated(
    judged: JudgedPairs,
    pairs: LabeledPairs,
    states: NDArray[np.intp],
    by_states: NDArray[np.intp],
    columns: NDArray[np.intp],
    config: ChangeConfig,
) -> Iterator[str]:
    """Yield how many of the changes that drafts would state are in the labels."""
    order, probabilities = tuple(FindingState), torch.from_numpy(predict_changes(pairs, config))
    stated = np.full(states.shape, len(CASES))
    for pair, row in enumerate(states.tolist()):
        changes = decide_changes(probabilities[pair], [order[state] for state in row], config.threshold)
        for finding, change in enumerate(changes):
            if change is not None:
                stated[pair, finding] = DECIDED_CHANGES.index(change)
    for name, calls in ((f"Drafts at the threshold {config.threshold:g}", stated[:, columns]), ("States", by_states)):
        parts = []
        for case in range(3):
            right, count, precision = judged.precision(calls == case, case)
            parts.append(f"{CASES[case]} {right} of {count}" + (f", {precision}" if count else ""))
        yield f"{name} state, and the labels confirm: {'; '.join(parts)}."


def _decide(checkpoint: Checkpoint, probabilities: Floats) -> NDArray[np.intp]:
    """Return the states [P,F], indices into `STATES`, that each study alone gets."""
    states: NDArray[np.intp] = checkpoint.model.decide(torch.from_numpy(probabilities)).numpy()
    return states


def _all_cases(changes: Floats) -> Floats:
    """Return the probabilities [P,F,4] of the cases from those of the three changes."""
    return np.concatenate([changes, 1 - changes.sum(-1, keepdims=True)], axis=-1)


def _independent(config: ChangeConfig) -> ChangeConfig:
    zeros = (0.0,) * len(config.trained)
    return config.model_copy(update={"scale": 1.0, "bias": zeros, "persistence": zeros})


def _nats(probabilities: Floats, judged: JudgedPairs) -> float:
    return float(-np.log(probabilities[judged.cells].clip(1e-9)).mean())


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
    parser.add_argument("--threshold", type=float, default=0.5, help="minimum probability of a change that is stated")
    parser.add_argument("--test", action="store_true", help="judge the pairs of test patients as well")
    parser.add_argument("--write", action="store_true", help="write the parameters into the checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="seed of the intervals")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
