"""Fit the joint probability of a finding in two studies of a patient to pairs of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.config import ChangeConfig
from report_gen.model import change_probabilities

from ..data import Floats

SPREAD = 0.5
"""Standard deviation of the prior of a finding's deviations from the mean bias and from the mean persistence."""
MIN_PAIRS = 20
"""Least number of pairs of a finding that show it in at least one of the two studies."""
_ITERATIONS = 200


class LabeledPairs(NamedTuple):
    """Calibrated probabilities [P,F] and labels [P,F] of the earlier and of the present study of P pairs."""

    prior: Floats
    present: Floats
    prior_labels: Floats
    """1, 0, or NaN if unknown."""
    labels: Floats

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """[P,F], whether both labels are known."""
        return np.isfinite(self.prior_labels) & np.isfinite(self.labels)

    def cells(self) -> NDArray[np.bool_]:
        """Return [P,F,4], which of the four cases a pair is: new, unchanged, resolved, and absent in both studies."""
        before, now = self.prior_labels == 1, self.labels == 1
        found = np.stack([~before & now, before & now, before & ~now, ~before & ~now], axis=-1)
        return found & self.is_known[..., None]


def fit_changes(pairs: LabeledPairs, *, trained: Sequence[bool], threshold: float = 0.5) -> ChangeConfig:
    """Return the most probable parameters of the joint distribution of two studies.

    Scale, bias and persistence are fitted together, because persistence alone would raise the probability of a finding
    in each study. The bias and the persistence of a finding are the sum of one number for all findings and of a
    deviation with a normal prior, as in `finding_calibration`.

    Args:
        pairs: P pairs.
        trained: [F] whether the finding head was trained on a finding.
        threshold: Minimum probability of a change that a draft states.
    """
    cells = pairs.cells()
    enough = cells[..., :3].sum((0, 2)) >= MIN_PAIRS
    used = np.asarray(trained) & enough
    findings = len(used)
    mean = torch.zeros(3, dtype=torch.float64, requires_grad=True)  # logarithm of the scale, bias, persistence
    deviations = torch.zeros(2, findings, dtype=torch.float64, requires_grad=True)
    before, now = (torch.from_numpy(one).logit(eps=1e-6)[:, used] for one in (pairs.prior, pairs.present))
    truth = torch.from_numpy(cells[:, used].astype(float))
    optimizer = torch.optim.LBFGS([mean, deviations], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        bias, persistence = mean[1:, None] + deviations  # each [F]
        a, b = (mean[0].exp() * one + bias[used] for one in (before, now))
        scores = torch.stack([b, a + b + persistence[used], a, torch.zeros_like(a)], dim=-1)  # [P,F,4]
        likelihood = (scores.log_softmax(-1) * truth).sum()
        total = (deviations / SPREAD).square().sum() / 2 - likelihood
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    bias, persistence = (mean[1:, None] + deviations).detach().tolist()
    return ChangeConfig(
        trained=tuple(used.tolist()),
        scale=mean[0].exp().item(),
        bias=bias,
        persistence=persistence,
        threshold=threshold,
    )


def predict_changes(pairs: LabeledPairs, config: ChangeConfig) -> Floats:
    """Return the probabilities [P,F,3] of new, unchanged and resolved."""
    prior, present = torch.from_numpy(pairs.prior), torch.from_numpy(pairs.present)
    probabilities: Floats = change_probabilities(prior, present, config).numpy()
    return probabilities
