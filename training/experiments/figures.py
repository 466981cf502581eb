"""The figures of a trial that go into the table, read from its evaluation and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report_gen.evaluation import BLANK, SHUFFLED
from report_gen.labeling.schema_files import chest_xray
from report_gen.metrics import ALL_FINDINGS, ECE, MACRO_F1, headline_scores

from ..run.folder import LOG

Document = Mapping[str, Any]
"""What `report-gen evaluate --json` writes."""

_NIH = f"{MACRO_F1}, ChestX-ray14's labels"
_AVERAGES = ("macro F1, ", "micro F1, ")


_HEADLINE = headline_scores(chest_xray())


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    p: float | None = None
    """Of a difference, by paired bootstrap over the studies."""


def figures_of(document: Document) -> Iterator[Figure]:
    """Of the model: what its drafts and its heads are worth, and what they lose without its images."""
    yield from _against_reports(document)
    for name, differences in _compared(document):
        for control, one in differences.items():
            if control == SHUFFLED:  # own images are the second of every difference
                yield Figure(name, one["second"])
            if control in (SHUFFLED, BLANK):
                yield _drop(name, control, one)
    if document["finding_head"] is not None:
        scores = document["finding_head"]["scores"]
        yield from (Figure(one["name"], one["value"]) for one in scores if one["name"] == f"{ALL_FINDINGS} {ECE}")
    yield Figure("distinct drafts, share", document["distinct_drafts"] / document["studies"])


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
            yield from (_drop(one["name"], control, one) for one in differences if one["name"] in _HEADLINE)


def _compared(document: Document) -> Iterator[tuple[str, Mapping[str, Document]]]:
    """Figures beside those against reports, each with its differences by control."""
    for name, differences in _by_name(document["labels"]).items():
        if name.startswith(_AVERAGES):
            yield f"{name}, labels", differences
    yield _NIH, _nih_differences(document)
    yield from _by_name({control: document["attributes"].get(control, {}) for control in (SHUFFLED, BLANK)}).items()
    head = {} if document["finding_head"] is None else document["finding_head"]["image_use"]
    yield from _by_name({control: {one["name"]: one} for control, one in head.items()}).items()


def _by_name(by_control: Mapping[str, Mapping[str, Document]]) -> dict[str, dict[str, Document]]:
    """Differences by name and control, from those by control and name."""
    found: dict[str, dict[str, Document]] = {}
    for control, differences in by_control.items():
        for name, one in differences.items():
            found.setdefault(name, {})[control] = one
    return found


def _nih_differences(document: Document) -> dict[str, Document]:
    """Of the macro F1 of ChestX-ray14's labels, by what it is held against; none where the corpus is another."""
    scores = document["nih_labels"]
    differences = {} if scores is None else scores["against"]
    return {name: next(one for one in them if one["name"] == MACRO_F1) for name, them in differences.items()}


def _scores(system: Document) -> Iterator[Figure]:
    return (Figure(score["name"], score["value"]) for score in system["scores"] if score["name"] in _HEADLINE)


def _drop(name: str, control: str, difference: Document) -> Figure:
    value = difference["second"] - difference["first"]
    return Figure(f"{name}: own less {control} images", value, difference["p_bootstrap"])
