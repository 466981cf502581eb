"""Events of a run that a monitor can show: progress of preparation, steps, and validations with sample drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

OnProgress = Callable[[str, int, int], None]
"""Called with the name of a task, the amount done, and the total."""

_INTERVAL = 100


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A training step."""

    stage: str
    step: int
    """Steps done in the stage."""
    steps: int
    """Maximum steps of the stage."""
    loss: float
    """The minimized loss: the weighted sum of the losses below and the SCST loss."""
    report_loss: float | None
    """Mean cross-entropy of the step's report tokens, nats; None if it had none."""
    finding_loss: float | None
    """Mean binary cross-entropy of the step's finding targets, nats; None if it had none."""
    attribute_loss: float | None = None
    """Mean cross-entropy of the step's attribute values, nats; None if it had none."""
    location_loss: float | None = None
    """Mean binary cross-entropy of the step's sides and zones, nats; None if it had none."""
    attention_loss: float | None = None
    """Mean of -log(attention inside the boxes) over the step's findings with boxes, nats; None if it had none."""
    rates: Mapping[str, float]
    """Learning rate by model part, for the trained parts."""
    seconds: float
    """Duration of the step."""
    studies: int
    """Studies of the step, over all processes."""
    tokens: int
    """Report tokens of the step, over all processes."""
    best: Validation | None
    """The validation of the stage's best weights; None before the first one in this process."""
    collapsed: bool
    """Whether the drafts of the latest validation had collapsed."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A validation study with its draft."""

    study_id: str
    draft: str
    """Text as `format_report` writes it."""
    reference: str
    """Text as `format_report` writes it."""
    images: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A validation."""

    stage: str
    step: int
    """Steps done in the stage."""
    loss: float | None
    """Mean loss of all validation studies, weighted as in a step; None without validation studies."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """The parts of the loss, unweighted, by name: report, findings, attributes, locations, attention; those that the
    validation studies have."""
    scores: Mapping[str, float]
    """Scores of the drafts by name; empty without drafts."""
    distinct: float | None
    """Number of different drafts / number of different references."""
    collapsed: bool
    """Whether the drafts are the same few texts whatever the images show."""
    samples: Sequence[Sample]
    """The drafts; the same studies every time."""
    accuracies: Mapping[str, float] = field(default_factory=dict)
    """Accuracy of each attribute head by attribute, where values are known."""
    chosen: bool = False
    """Whether these weights are the best of the stage so far, and kept."""

    @property
    def score(self) -> float | None:
        """Sum of the scores that select the weights; None without drafts."""
        return sum(self.scores[name] for name in selection_scores(self.scores)) if self.scores else None


def selection_scores(scores: Iterable[str]) -> list[str]:
    """Return the names of the scores of a validation whose sum selects the weights.

    They are the macro-F1 of all findings, in which an uncertain finding counts as present, and CIDEr-D; for a model
    without findings only CIDEr-D.
    """
    return sorted((name for name in scores if name == "CIDEr-D" or name.startswith("macro F1, ")), reverse=True)


def ignore_progress(_task: str, _done: int, _total: int) -> None:
    """Do nothing: an `OnProgress` for runs without a monitor."""


def report_progress(items: Iterable[T], task: str, total: int, on_progress: OnProgress) -> Iterator[T]:
    """Pass items through, and report the progress after every 100 items and at the end."""
    done = 0
    for item in items:
        yield item
        done += 1
        if done % _INTERVAL == 0:
            on_progress(task, done, total)
    on_progress(task, done, max(done, total))
