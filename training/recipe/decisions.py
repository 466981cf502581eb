"""The part of a recipe that states what wrong decisions of the model cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
    attribute_accuracy: dict[AttributeName, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Share of right values among the values of an attribute that drafts may name, such as `{ modality = 0.97 }`. The
    threshold on its probability is the lowest one with this share among the validation studies; for other studies
    candidates that do not name the attribute have precedence. An attribute that is not given may always be named."""
