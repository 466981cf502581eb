"""The part of a recipe that states what wrong decisions of the model cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from report_gen.config import FrozenModel
from report_gen.records import AttributeName


class DecisionRecipe(FrozenModel):
    """Costs of wrong decisions; the thresholds on the calibrated probabilities follow from them."""

    missed_abnormal_cost: float = Field(default=1.5, gt=0, le=1000)
    """Cost of calling an abnormal study normal, relative to that of calling a normal study abnormal. A study is normal
    if its probability of "no finding" is at least cost / (1 + cost). The default is made for heads with an AUROC of
    about 0.72 and as many normal as abnormal patients: 56% of the normal and 25% of the abnormal studies are called
    normal."""
    false_positive_cost: float = Field(default=1.0, gt=0, le=1000)
    """Cost of stating a finding that is not there, relative to that of missing one. Each finding gets the threshold
    with the highest expected F-measure for this cost; 1 gives the F1 score, more states fewer findings."""
    attribute_accuracy: dict[AttributeName, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    """Share of right values among the values of an attribute that drafts may name, such as `{ modality = 0.97 }`. The
    threshold on its probability is the lowest one for which the lower confidence bound (95%) of this share among the
    validation studies is as high; every patient and every true value count the same. A share of 0.95 needs 52 patients
    without any error. For studies below the threshold candidates that do not name the attribute have precedence. An
    attribute that is not given may always be named."""
    attribute_thresholds: dict[AttributeName, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Thresholds of attributes that are not in `attribute_accuracy`, for example from a cross-validation, because the
    validation studies are too few."""

    @model_validator(mode="after")
    def _check(self) -> DecisionRecipe:
        if both := sorted(self.attribute_accuracy.keys() & self.attribute_thresholds.keys()):
            raise ValueError(
                f"attribute_accuracy and attribute_thresholds both name {', '.join(both)}; remove it from one of them"
            )
        return self
