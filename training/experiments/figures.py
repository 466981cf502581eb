"""The figures of a trial that go into the table, read from its evaluation and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report_gen.scoring.verdicts import HEADLINE

from ..runs import LOG

Document = Mapping[str, Any]
"""What `report-gen evaluate --json` writes."""

_AVERAGES = ("macro F1, ", "micro F1, ")


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    p: float | None = None
    """Of a difference, by paired bootstrap over the studies."""


def figures_of(document: Document) -> Iterator[Figure]:
    """Of the model: scores against reports, finding scores against labels, and what both lose without its images."""
    reports = document["reports"]
    if reports is not None:
        yield from _scores(reports["model"])
        for control, differences in reports["image_use"].items():
            for one in differences:
                if one["name"] in HEADLINE:
                    yield _drop(one["name"], control, one)
    for place, (control, differences) in enumerate(document["labels"].items()):
        for name, one in differences.items():
            if name.startswith(_AVERAGES):
                if place == 0:
                    yield Figure(f"{name}, labels", one["second"])
                yield _drop(f"{name}, labels", control, one)
    yield Figure("distinct drafts, share", document["distinct"] / document["studies"])


def baselines_of(document: Document) -> Mapping[str, list[Figure]]:
    """Of the baselines against the reports, by their name."""
    reports = document["reports"]
    return {} if reports is None else {system["name"]: list(_scores(system)) for system in reports["baselines"]}


def training_figures(run: Path) -> Iterator[Figure]:
    """From the log of a run folder: the loss of the weights that were kept, and what the steps took."""
    lines = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "validation" and line["chosen"] and line["loss"]]
    if losses:
        yield Figure("validation loss", losses[-1])
    yield Figure("minutes of training steps", sum(line["seconds"] for line in lines if line["kind"] == "step") / 60)


def _scores(system: Document) -> Iterator[Figure]:
    return (Figure(score["name"], score["value"]) for score in system["scores"] if score["name"] in HEADLINE)


def _drop(name: str, control: str, difference: Document) -> Figure:
    value = difference["second"] - difference["first"]
    return Figure(f"{name}: own less {control} images", value, difference["p_bootstrap"])
