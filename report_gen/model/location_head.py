"""Compute the side and the zones of a finding from its attention over the image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from report_gen.config import VIEWS, LocationConfig
from report_gen.records import LOCATION_PARTS, MIDLINE, ZONE_HEIGHTS, Side, Zone

_LEAST_MASS = 1e-4
"""Attention on a part below which its logit does not fall further."""


class LocationHead(nn.Module):
    """Computes for every finding the logits of the P parts of its location from where its query attends.

    The logit of a part is the log-odds of the attention on its region, with a scale and a bias of the part. All
    findings share these 2 P numbers, so that the few findings with boxes train them. Only frontal views count, because
    the parts have no meaning in a lateral view. The regions lie in the square that an image is fitted into.

    Args:
        grid: Rows and columns of the patch grid; N = grid * grid.
    """

    regions: torch.Tensor
    frontal: torch.Tensor

    def __init__(self, grid: int) -> None:
        super().__init__()
        parts = len(LOCATION_PARTS)
        self.scale = nn.Parameter(torch.ones(parts))
        self.bias = nn.Parameter(torch.zeros(parts))
        regions = torch.empty(grid**2, parts)  # [N,P]
        if not regions.is_meta:  # there torch would import its compiler to compute nothing
            regions = torch.stack(list(_regions(grid)), dim=1)
        self.register_buffer("regions", regions, persistent=False)
        frontal = [view.may_be_frontal for view in VIEWS]
        self.register_buffer("frontal", torch.tensor(frontal), persistent=False)  # [views]

    def forward(self, attention: torch.Tensor, view_positions: torch.Tensor, view_mask: torch.Tensor) -> torch.Tensor:
        """Return the location logits [B,F,P]; they are low for all parts if a study has no frontal view.

        Args:
            attention: [B,F,V*N] attention weights of the findings, 0 on missing views.
            view_positions: [B,V], indices into `VIEWS`, with view_mask [B,V] bool.
        """
        views = self.frontal[view_positions] & view_mask  # [B,V]
        by_view = attention.reshape(*attention.shape[:2], views.shape[1], -1)  # [B,F,V,N]
        # In float32, and without products of matrices, which autocast would compute in bfloat16: there 1 - _LEAST_MASS
        # is 1, whose logit is infinite.
        by_patch = (by_view.float() * views[:, None, :, None]).sum(2)  # [B,F,N]
        total = by_patch.sum(-1, keepdim=True)  # [B,F,1]
        mass = (by_patch.unsqueeze(-1) * self.regions).sum(-2) / total.clamp(min=torch.finfo(total.dtype).tiny)
        return self.scale * torch.logit(mass, eps=_LEAST_MASS) + self.bias  # [B,F,P]


@dataclass(frozen=True)
class PredictedLocations:
    """Locations of the F findings of B studies, each as if the finding were present."""

    parts: torch.Tensor
    """[B,F,P] bool, the `LOCATION_PARTS` of each finding; none where the location is unknown."""
    side_probability: torch.Tensor
    """[B,F] probability, 0..1, of the most probable side: right, left or both."""
    zone_probabilities: torch.Tensor
    """[B,F,3] probability, 0..1, of each zone."""


def predict_locations(logits: torch.Tensor, config: LocationConfig) -> PredictedLocations:
    """Return the locations that the location head gives by the calibration and the thresholds of a configuration.

    Right and left are treated as independent given the image, so the probability of "right alone" is that of right
    times that of not left. The side is known if the most probable of right, left and both reaches the threshold.

    Args:
        logits: [B,F,P].
        config: Calibration, thresholds, and the findings with a trained location.
    """
    shift = torch.tensor(config.shift, dtype=logits.dtype, device=logits.device)  # [P]
    probabilities = (logits / config.temperature + shift).sigmoid()  # [B,F,P]
    right, left, *_ = probabilities.unbind(-1)  # each [B,F]
    sides = torch.stack([right * (1 - left), left * (1 - right), right * left], dim=-1)  # [B,F,3]
    side_probability, side = sides.max(-1)  # [B,F]
    is_named = side_probability >= config.side_threshold
    is_right, is_left = is_named & (side != 1), is_named & (side != 0)
    zones = probabilities[..., 2:]  # [B,F,3]
    parts = torch.cat([is_right[..., None], is_left[..., None], zones >= config.zone_threshold], dim=-1)
    trained = torch.tensor(config.trained, device=logits.device)  # [F]
    return PredictedLocations(parts & trained[:, None], side_probability, zones)


def _regions(grid: int) -> Iterator[torch.Tensor]:
    """Yield for each part the share of every patch that it covers, [N]."""
    edges = torch.arange(grid + 1) / grid
    everywhere, halves = (0.0, 1.0), {Side.RIGHT: (0.0, MIDLINE), Side.LEFT: (MIDLINE, 1.0)}
    for part in LOCATION_PARTS:
        columns = halves[part] if isinstance(part, Side) else everywhere
        rows = ZONE_HEIGHTS[part] if isinstance(part, Zone) else everywhere
        yield (_shares(edges, *rows)[:, None] * _shares(edges, *columns)[None, :]).flatten()


def _shares(edges: torch.Tensor, start: float, end: float) -> torch.Tensor:
    """Return the share of each interval between edges [n+1] that lies between start and end, [n]."""
    return (edges[1:].clamp(max=end) - edges[:-1].clamp(min=start)).clamp(min=0) / (edges[1:] - edges[:-1])
