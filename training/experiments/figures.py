"""The figures of a trial that go into the table, read from its evaluation and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report_gen.evaluating import BLANK, SHUFFLED
from report_gen.scoring.label_scores import MACRO
from report_gen.scoring.verdicts import HEADLINE

from ..runs import LOG

Document = Mapping[str, Any]
"""What `report-gen evaluate --json` writes."""

_NIH = f"{MACRO}, ChestX-ray14's labels"
_AVERAGES = ("macro F1, ", "micro F1, ")


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    p: float | None = None
    """Of a difference, by paired bootstrap over the studies."""


def figures_of(document: Document) -> Iterator[Figure]:
    """Of the model: scores against reports, finding scores against labels, and what both lose without its images."""
    yield from _against_reports(document)
    yield from _against_labels(document)
    yield from _against_nih_labels(document)
    yield Figure("distinct drafts, share", document["distinct"] / document["studies"])


def baselines_of(document: Document) -> Mapping[str, list[Figure]]:
    """Of what needs no model or does not look, by its name: against the reports, and against ChestX-ray14's labels."""
    reports = document["reports"]
    found = {} if reports is None else {system["name"]: list(_scores(system)) for system in reports["baselines"]}
    differences = _nih_differences(document)
    return found | {
        name: [Figure(_NIH, one["first"])] for name, one in differences.items() if name not in (SHUFFLED, BLANK)
    }


def training_figures(run: Path) -> Iterator[Figure]:
    """From the log of a run folder: the loss of the weights that were kept, and what the steps took."""
    lines = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "validation" and line["chosen"] and line["loss"]]
    if losses:
        yield Figure("validation loss", losses[-1])
    yield Figure("minutes of training steps", sum(line["seconds"] for line in lines if line["kind"] == "step") / 60)


def _against_reports(document: Document) -> Iterator[Figure]:
    reports = document["reports"]
    if reports is not None:
        yield from _scores(reports["model"])
        for control, differences in reports["image_use"].items():
            yield from (_drop(one["name"], control, one) for one in differences if one["name"] in HEADLINE)


def _against_labels(document: Document) -> Iterator[Figure]:
    for control, differences in document["labels"].items():
        for name, one in differences.items():
            if name.startswith(_AVERAGES):
                if control == SHUFFLED:  # own images are the second of every difference
                    yield Figure(f"{name}, labels", one["second"])
                yield _drop(f"{name}, labels", control, one)


def _against_nih_labels(document: Document) -> Iterator[Figure]:
    for control, one in _nih_differences(document).items():
        if control == SHUFFLED:
            yield Figure(_NIH, one["second"])
        if control in (SHUFFLED, BLANK):
            yield _drop(_NIH, control, one)


def _nih_differences(document: Document) -> dict[str, Document]:
    """Of the macro F1 of ChestX-ray14's labels, by what it is held against; none where the corpus is another."""
    scores = document["nih_labels"]
    differences = {} if scores is None else scores["against"]
    return {name: next(one for one in them if one["name"] == MACRO) for name, them in differences.items()}


def _scores(system: Document) -> Iterator[Figure]:
    return (Figure(score["name"], score["value"]) for score in system["scores"] if score["name"] in HEADLINE)


def _drop(name: str, control: str, difference: Document) -> Figure:
    value = difference["second"] - difference["first"]
    return Figure(f"{name}: own less {control} images", value, difference["p_bootstrap"])
