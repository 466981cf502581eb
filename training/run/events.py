"""What a run tells those who watch it: a step done, a validation done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Progress:
    """After a step."""

    stage: str
    step: int
    """Steps done in the stage."""
    steps: int
    """Of the stage at most."""
    loss: float
    """What was made small: report loss, and weighted finding and attribute loss."""
    report_loss: float | None
    """Mean cross-entropy of the step's report tokens, nats; None where it had none."""
    finding_loss: float | None
    """Mean binary cross-entropy of the step's finding targets, nats; None where it had none."""
    attribute_loss: float | None = None
    """Mean cross-entropy of the step's attribute values, nats; None where it had none."""
    rates: Mapping[str, float]
    """Learning rate by part of the model, of the parts that learn."""
    seconds: float
    """That the step took."""
    studies: int
    """In the step, over all processes."""
    tokens: int
    """Report tokens in the step, over all processes."""
    best: Validation | None
    """The validation of the stage whose weights are kept; None before the first in this process."""
    collapsed: bool
    """Whether the latest validation found the drafts collapsed."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A validation study as it was drafted."""

    study_id: str
    draft: str
    """As `format_report` writes it."""
    reference: str
    """As `parse_report` reads it."""
    images: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """After a validation."""

    stage: str
    step: int
    """Steps done in the stage."""
    loss: float | None
    """As the loss of a step, of all validation studies; None where there are none."""
    scores: Mapping[str, float]
    """Of the drafts, by the scorer's names; empty where none were written."""
    distinct: float | None
    """Different drafts over different references."""
    collapsed: bool
    """Whether the drafts are the same few texts whatever the model is shown."""
    samples: Sequence[Sample]
    """The drafts, the same studies every time."""
    accuracies: Mapping[str, float] = field(default_factory=dict)
    """Share of the studies with images of which the head says an attribute right, by its name; where any is known."""
    chosen: bool = False
    """Whether its weights are the best so far of the stage, and kept."""

    @property
    def score(self) -> float | None:
        """What the best weights are best at: macro F1 of the findings and CIDEr-D, added up."""
        return sum(self.scores[name] for name in selection_scores(self.scores)) if self.scores else None


def selection_scores(scores: Iterable[str]) -> list[str]:
    """Return the names of the scores of a validation whose sum chooses the weights.

    They are the macro F1 of all findings, in which an uncertain finding counts as found, and CIDEr-D; for a model
    without findings CIDEr-D alone.
    """
    return sorted((name for name in scores if name == "CIDEr-D" or name.startswith("macro F1, ")), reverse=True)
