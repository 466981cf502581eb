"""Normalize the images of some corpora by their own statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from report_gen.imaging.transform import ImageTransform


class IntensityMatching:
    """Matches the intensities of images with statistics of their own to those of the model.

    The normalization of the model then gives these images zero mean and unit deviation as well.

    Args:
        transform: The image transform of the model, with the mean and standard deviation of most images.
        own: Mean and standard deviation, 0..1, of the images that have their own, by path.
    """

    def __init__(self, transform: ImageTransform, own: Mapping[str, tuple[float, ...]]) -> None:
        self._transform, self._own = transform, own

    def match(self, squares: torch.Tensor, paths: Sequence[Path]) -> torch.Tensor:
        """Return images [n,size,size] in 0..1 with matched intensities, which may be beyond 0..1.

        Args:
            squares: The images.
            paths: Path of each image.
        """
        rows = [row for row, path in enumerate(paths) if str(path) in self._own]
        if not rows:
            return squares
        model_mean, model_std = self._transform.mean, self._transform.std
        if isinstance(model_mean, tuple) or isinstance(model_std, tuple):  # refused by the recipe
            raise TypeError("images with their own mean and std need one value of each for all channels")
        statistics = torch.tensor([self._own[str(paths[row])] for row in rows])  # [rows,2]
        mean, std = statistics[:, :, None, None].unbind(1)  # each [rows,1,1]
        matched = squares.clone()
        matched[rows] = (squares[rows] - mean) / std * model_std + model_mean
        return matched

    def describe(self, path: Path) -> str:
        """Return a text that differs for images with other statistics; empty for those of the model."""
        own = self._own.get(str(path))
        return "" if own is None else f"-normalized-{own}"
