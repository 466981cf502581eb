"""Attention of the finding queries over the patches of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.imaging.transform import Placement
from report_gen.model import ReportModel, VisualFeatures
from report_gen.records import FindingAttention, Heatmap, Image


@torch.inference_mode()
def attention_heatmap(
    model: ReportModel,
    *,
    pixel_values: torch.Tensor,
    view_positions: torch.Tensor,
    view_mask: torch.Tensor,
    patch_features: torch.Tensor | None = None,
    view_offsets: torch.Tensor | None = None,
    image: NDArray[np.float32],
    placement: Placement,
) -> Heatmap:
    """Return the attention weights of each finding over the first view of one study.

    Args:
        model: Model with a finding head.
        pixel_values: [1,V,C,H,W], with view_positions [1,V] and view_mask [1,V].
        patch_features: [1,V,N,D_img], output of the encoder, if it was run already.
        view_offsets: [1,V,3], `ViewOffset` of each view, if they are known.
        image: The first view before preprocessing, [H,W] 0..1.
        placement: Where the image lies in the square of `pixel_values`.
    """
    visual = model.encode_images(pixel_values, view_positions, view_mask, patch_features, view_offsets)
    (weights,) = _first_view_weights(model, visual)
    return Heatmap(image=image, square=placement.square, part=placement.part, weights=weights)


def finding_attention(
    model: ReportModel, visual: VisualFeatures, images: Sequence[Image], placements: Sequence[Placement]
) -> list[FindingAttention]:
    """Return the attention weights of each finding over the first view of each of B studies.

    Args:
        model: Model with a finding head.
        visual: Visual features of the B studies.
        images: First view of each study.
        placements: Where each of these images lies in the square of patches.
    """
    rows = zip(images, placements, _first_view_weights(model, visual), strict=True)
    return [
        FindingAttention(image=image, square=_square_in_shares(placement, image), weights=weights)
        for image, placement, weights in rows
    ]


def _first_view_weights(model: ReportModel, visual: VisualFeatures) -> list[dict[str, NDArray[np.float32]]]:
    """Return for each study the weights [grid,grid] over its first view by finding; those of a volume are summed up."""
    encoder, schema = model.encoder, model.config.finding_schema
    first_view = visual.finding_attention[:, :, : encoder.patches].float()  # [B,F,N]
    by_depth = first_view.reshape(*first_view.shape[:2], encoder.depth, encoder.grid, encoder.grid)
    weights = by_depth.sum(2).cpu().numpy()  # [B,F,grid,grid]
    stated = [schema.index(name) for name in schema.stated]  # "normal" is nowhere in the image
    return [dict(zip(schema.stated, of_study[stated], strict=True)) for of_study in weights]


def _square_in_shares(placement: Placement, image: Image) -> tuple[float, float, float, float]:
    """Return left, upper, right and lower edge of the square, in shares of the width and height of the image."""
    left, top, side = placement.square
    return left / image.columns, top / image.rows, (left + side) / image.columns, (top + side) / image.rows
