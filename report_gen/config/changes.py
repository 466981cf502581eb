"""The configuration by which a model decides how findings have changed since an earlier study."""

from __future__ import annotations

from pydantic import Field, model_validator

from report_gen.config.base import FrozenModel


class ChangeConfig(FrozenModel):
    """Parameters of the joint probability of a finding in two studies, see `model/finding_changes.py`."""

    trained: tuple[bool, ...]
    """Whether pairs of labels trained the change of a finding. No change of the others is stated."""
    scale: float = Field(default=1.0, gt=0)
    """Factor of the log-odds of the finding in each study."""
    bias: tuple[float, ...]
    """Added to the log-odds of each finding in each study."""
    persistence: tuple[float, ...]
    """Log-odds ratio between the two studies: how much more probable a finding is if the other study shows it."""
    threshold: float = Field(default=0.5, gt=0, le=1)
    """Minimum probability of a change that a draft states."""

    @model_validator(mode="after")
    def _check(self) -> ChangeConfig:
        if not len(self.trained) == len(self.bias) == len(self.persistence):
            raise ValueError("trained, bias and persistence have different lengths; give one value for each finding")
        return self
