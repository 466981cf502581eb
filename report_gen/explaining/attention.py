"""Attention of the finding queries over the patches of an image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.imaging.transform import Placement
from report_gen.model import ReportModel
from report_gen.records import Heatmap


@torch.inference_mode()
def attention_heatmap(
    model: ReportModel,
    *,
    pixel_values: torch.Tensor,
    view_positions: torch.Tensor,
    view_mask: torch.Tensor,
    patch_features: torch.Tensor | None = None,
    image: NDArray[np.float32],
    placement: Placement,
) -> Heatmap:
    """Return the attention weights of each finding over the first view of one study.

    Args:
        model: Model with a finding head.
        pixel_values: [1,V,C,H,W], with view_positions [1,V] and view_mask [1,V].
        patch_features: [1,V,N,D_img], output of the encoder, if it was run already.
        image: The first view before preprocessing, [H,W] 0..1.
        placement: Where the image lies in the square of `pixel_values`.
    """
    visual = model.encode_images(pixel_values, view_positions, view_mask, patch_features)
    grid = model.encoder.grid
    first_view = visual.finding_attention[0, :, : grid * grid].float()  # [F,N]
    weights = first_view.reshape(-1, grid, grid).cpu().numpy()  # [F,grid,grid]
    schema = model.config.finding_schema
    by_name = dict(zip(schema.findings, weights, strict=True))
    stated = {name: by_name[name] for name in schema.stated}  # "normal" is nowhere in the image
    return Heatmap(image=image, square=placement.square, part=placement.part, weights=stated)
