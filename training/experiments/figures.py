"""Read the figures of a trial for the results table, from its evaluation and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report_gen.evaluation import BLANK, SHUFFLED
from report_gen.labeling import chest_xray
from report_gen.metrics import ALL_FINDINGS, ECE, MACRO_F1, headline_scores

from ..run import LOG

Document = Mapping[str, Any]
"""The JSON output of `report-gen evaluate`."""

_NIH = f"{MACRO_F1}, ChestX-ray14's labels"
_AVERAGES = ("macro F1, ", "micro F1, ")


_HEADLINE = headline_scores(chest_xray())


@dataclass(frozen=True)
class Figure:
    """A number in the results table."""

    name: str
    value: float
    p: float | None = None
    """p-value of a difference, by paired bootstrap over the studies."""


def figures_of(document: Document) -> Iterator[Figure]:
    """Yield the figures of the model: scores of its drafts and heads, and their loss without the study's own images."""
    yield from _against_reports(document)
    for name, differences in _compared(document):
        for control, one in differences.items():
            if control == SHUFFLED:  # the "second" system of every difference is the model with its own images
                yield Figure(name, one["second"])
            if control in (SHUFFLED, BLANK):
                yield _drop(name, control, one)
    if document["finding_head"] is not None:
        scores = document["finding_head"]["scores"]
        yield from (Figure(one["name"], one["value"]) for one in scores if one["name"] == f"{ALL_FINDINGS} {ECE}")
    yield Figure("distinct drafts, share", document["distinct_drafts"] / document["studies"])


def baselines_of(document: Document) -> Mapping[str, list[Figure]]:
    """Return the figures of baselines by name: against the reports, and against the labels of ChestX-ray14."""
    reports = document["reports"]
    found = {} if reports is None else {system["name"]: list(_scores(system)) for system in reports["baselines"]}
    differences = _nih_differences(document)
    return found | {
        name: [Figure(_NIH, one["first"])] for name, one in differences.items() if name not in (SHUFFLED, BLANK)
    }


def training_figures(run: Path) -> Iterator[Figure]:
    """Yield the validation loss of the kept weights and the training time, from the log of a run folder."""
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
            yield from (_drop(one["name"], control, one) for one in differences if one["name"] in _HEADLINE)


def _compared(document: Document) -> Iterator[tuple[str, Mapping[str, Document]]]:
    """Yield the figures that are not scored against reports, each with its differences by control."""
    for name, differences in _by_name(document["labels"]).items():
        if name.startswith(_AVERAGES):
            yield f"{name}, labels", differences
    yield _NIH, _nih_differences(document)
    yield from _by_name({control: document["attributes"].get(control, {}) for control in (SHUFFLED, BLANK)}).items()
    head = {} if document["finding_head"] is None else document["finding_head"]["image_use"]
    yield from _by_name({control: {one["name"]: one} for control, one in head.items()}).items()


def _by_name(by_control: Mapping[str, Mapping[str, Document]]) -> dict[str, dict[str, Document]]:
    """Turn differences by control and name into differences by name and control."""
    found: dict[str, dict[str, Document]] = {}
    for control, differences in by_control.items():
        for name, one in differences.items():
            found.setdefault(name, {})[control] = one
    return found


def _nih_differences(document: Document) -> dict[str, Document]:
    """Return the differences of the macro F1 against ChestX-ray14 labels, by control; empty for another corpus."""
    scores = document["nih_labels"]
    differences = {} if scores is None else scores["against"]
    return {name: next(one for one in scores_of if one["name"] == MACRO_F1) for name, scores_of in differences.items()}


def _scores(system: Document) -> Iterator[Figure]:
    return (Figure(score["name"], score["value"]) for score in system["scores"] if score["name"] in _HEADLINE)


def _drop(name: str, control: str, difference: Document) -> Figure:
    value = difference["second"] - difference["first"]
    return Figure(f"{name}: drop with {control} images", value, difference["p_bootstrap"])
