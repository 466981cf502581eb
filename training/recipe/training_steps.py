"""The part of a recipe that describes the optimizer steps, and which of their weights are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from report_gen.config import FrozenModel


class TrainingSteps(FrozenModel):
    steps: int = Field(ge=1, le=1_000_000_000)
    """Maximum number of optimizer steps."""
    batch_size: int = Field(default=16, ge=1, le=65_536)
    """Studies B per batch, over all processes."""
    accumulate: int = Field(default=1, ge=1, le=65_536)
    """Batches per optimizer step; their gradients are added up."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises; after that it falls along half a cosine."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Weight decay of AdamW; applied to matrices only."""
    clip: float = Field(default=1.0, gt=0)
    """Maximum norm of the gradient; larger gradients are scaled down."""
    validate_every: int = Field(default=100, ge=1, le=1_000_000_000)
    """Steps between validations."""
    checkpoint_metric: Literal["draft_score", "loss"] = "draft_score"
    """Criterion for the best weights: `draft_score`, the sum of finding macro-F1 and CIDEr-D of drafts of validation
    studies (the loss, if no study has a report), or `loss`."""
    validation_drafts: int = Field(default=100, ge=1, le=1_000_000_000)
    """Maximum number of validation studies to draft, the same at every validation."""
    min_distinct: float = Field(default=0.1, ge=0, le=1)
    """Minimum number of different drafts, as a share of the different references; weights below it score 0."""
    patience: int = Field(default=5, ge=1, le=1_000_000_000)
    """Validations without improvement after which the stage ends."""
