"""The configuration of the heads of a model: what their logits become for findings, locations and attributes."""

from __future__ import annotations

from pydantic import Field, model_validator

from report_gen.config.base import FrozenModel, ShortText
from report_gen.records import LOCATION_PARTS, AttributeName

MAX_VALUES = 1024
"""Largest number of values of an attribute."""


class FindingConfig(FrozenModel):
    """Calibration and thresholds of the finding head: from logits to probabilities, and to conditioning states."""

    temperature: float = Field(default=1.0, gt=0)
    """Divides the logits, so that probabilities are calibrated (Guo et al., ICML 2017)."""
    shift: tuple[float, ...] | None = None
    """Added to the logits after the division: the prevalence of findings among patients is not that among the training
    studies. None: no shift."""
    trained: tuple[bool, ...] | None = None
    """Whether the head was trained on a finding and reports its probability. None: where `present` has a threshold."""
    present: tuple[float | None, ...]
    """Minimum probability of a present finding. None: the finding stays unknown, as it is untrained or too rare."""
    uncertain: tuple[float | None, ...] = Field(default_factory=lambda data: (None,) * len(data.get("present", ())))
    """Minimum probability of an uncertain finding. None: the finding is never uncertain."""
    normal: float | None = Field(default=None, gt=0, le=1)
    """Minimum probability of "no finding" of a normal study, see `ReportModel.decide`. None: "no finding" follows from
    the other findings alone."""

    @model_validator(mode="after")
    def _check(self) -> FindingConfig:
        for name in ("present", "uncertain"):
            values = getattr(self, name)
            if any(value is not None and not (0 < value <= 1) for value in values):
                raise ValueError(f"{name} contains a threshold outside 0..1; correct it")
        return self

    @classmethod
    def unknown(cls, findings: int, *, trained: tuple[bool, ...] | None = None) -> FindingConfig:
        """Return a configuration without thresholds, in which all of this number of findings stay unknown."""
        return cls(present=(None,) * findings, trained=trained)

    @property
    def reported(self) -> tuple[bool, ...]:
        """Whether the probability of each finding is reported."""
        return tuple(value is not None for value in self.present) if self.trained is None else self.trained


class LocationConfig(FrozenModel):
    """Calibration of the locations of findings, see `report_gen.records.LOCATION_PARTS`."""

    trained: tuple[bool, ...]
    """Whether boxes or reports trained the location of a finding. The location of other findings stays unknown."""
    temperature: float = Field(default=1.0, gt=0)
    """Divides the logits, so that probabilities are calibrated."""
    shift: tuple[float, ...] = Field(
        default=(0.0,) * len(LOCATION_PARTS), min_length=len(LOCATION_PARTS), max_length=len(LOCATION_PARTS)
    )
    """[P] added to the logits of each part after they are divided by the temperature."""
    side_threshold: float = Field(default=0.75, gt=0, le=1)
    """Minimum probability of the most probable side: right, left or both. Below it the side stays unknown."""
    zone_threshold: float = Field(default=0.5, gt=0, le=1)
    """Minimum probability of a zone that a finding occupies."""


class AttributeConfig(FrozenModel):
    """An attribute that a head classifies and the decoder is conditioned on."""

    name: AttributeName
    values: tuple[ShortText, ...] = Field(min_length=1, max_length=MAX_VALUES)
    """Values in the order of the logits of the head."""
    threshold: float = Field(default=0.0, ge=0, le=1)
    """Probability of the most probable value below which a text should not name the attribute."""

    @model_validator(mode="after")
    def _check(self) -> AttributeConfig:
        if len(set(self.values)) < len(self.values) or "" in self.values:
            raise ValueError(f"the values of {self.name} contain a duplicate or an empty value; remove it")
        return self

    @property
    def conditioning_values(self) -> tuple[str, ...]:
        """Values in the order of every tensor of attribute values; the first is "" for unknown."""
        return ("", *self.values)

    def index(self, value: str) -> int:
        """Return the position of a value in `conditioning_values`; 0, which means unknown, if it is not among them."""
        return self.conditioning_values.index(value) if value in self.values else 0
