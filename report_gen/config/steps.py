"""The configuration of the preprocessing steps of images; `imaging/preprocessing.py` applies them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from report_gen.config.base import FrozenModel

MAX_BINS = 2**22
"""Largest number of histogram bins of all tiles; they take 0.1 GB and half a second, whatever the size of the image."""


class CropBordersStep(FrozenModel):
    """Crops uniform borders, dark or bright: the area outside the collimator, and unexposed or black margins."""

    name: Literal["crop_borders"]
    """Selects this step."""
    tolerance: float = Field(default=0.04, ge=0, le=0.5)
    """Largest difference from the median of the outermost line at which a pixel belongs to the border, intensities
    0..1."""
    share: float = Field(default=0.98, gt=0.5, le=1)
    """Share of a line's pixels that must belong to the border, so that noise and small markers do not stop the crop."""
    remaining: float = Field(default=0.4, gt=0, le=1)
    """Least share of the rows and of the columns that remain; if fewer would remain, nothing is cropped."""


class CropBandsStep(FrozenModel):
    """Crops bands with burned-in text along the edges. Text over the anatomy stays."""

    name: Literal["crop_bands"]
    """Selects this step."""
    stroke: float = Field(default=0.01, gt=0, le=0.05)
    """Largest stroke width of the text, as a share of the longer side of the image."""
    contrast: float = Field(default=0.2, gt=0, le=1)
    """Least difference between text and background, intensities 0..1."""
    tolerance: float = Field(default=0.04, ge=0, le=0.5)
    """Largest deviation of the background of a band from uniform, intensities 0..1."""
    depth: float = Field(default=0.25, gt=0, lt=0.5)
    """Largest share of the rows or columns that a band takes; a larger uniform area is not a band."""


class MedianStep(FrozenModel):
    """Replaces each pixel by the median of its neighborhood, which removes single bright and dark pixels."""

    name: Literal["median"]
    """Selects this step."""
    size: Literal[3, 5, 7, 9] = 3
    """Side of the neighborhood, pixels."""


class NonLocalMeansStep(FrozenModel):
    """Removes noise by averaging pixels with similar surroundings (non-local means, Buades et al., CVPR 2005)."""

    name: Literal["non_local_means"]
    """Selects this step."""
    sigma: float = Field(default=0.02, gt=0, le=0.5)
    """Standard deviation of the noise, intensities 0..1."""
    strength: float = Field(default=0.8, gt=0, le=4)
    """Width of the similarity weights in multiples of sigma; higher values smooth more."""
    patch: int = Field(default=5, ge=3, le=9)
    """Side of the compared surroundings, pixels."""
    distance: int = Field(default=4, ge=1, le=6)
    """Largest distance of averaged pixels along each axis, pixels. The time grows with its square."""


class ClaheStep(FrozenModel):
    """Raises the local contrast (contrast-limited adaptive histogram equalization, CLAHE, Zuiderveld 1994)."""

    name: Literal["clahe"]
    """Selects this step."""
    tiles: int = Field(default=8, ge=1, le=64)
    """Tiles along each axis, each with a histogram of its own."""
    limit: float = Field(default=2.5, ge=1, le=100)
    """Largest slope of a tile's mapping, in multiples of the slope of the identity; 1 hardly changes the image."""
    bins: int = Field(default=1024, ge=64, le=16384)
    """Bins of a histogram: intensity levels that a tile distinguishes. Tiles * tiles * bins is at most 4,194,304."""

    @model_validator(mode="after")
    def _check_histograms(self) -> ClaheStep:
        if (bins := self.tiles**2 * self.bins) > MAX_BINS:
            raise ValueError(
                f"{self.tiles} x {self.tiles} tiles of {self.bins} bins are {bins} bins; use at most {MAX_BINS}"
            )
        return self


class PercentilesStep(FrozenModel):
    """Stretches the intensities between two percentiles of the image to 0..1 and clips those outside."""

    name: Literal["percentiles"]
    """Selects this step."""
    lower: float = Field(default=0.5, ge=0, lt=50)
    """Percentile that becomes 0."""
    upper: float = Field(default=99.5, gt=50, le=100)
    """Percentile that becomes 1."""


PreprocessingStep = Annotated[
    CropBordersStep | CropBandsStep | MedianStep | NonLocalMeansStep | ClaheStep | PercentilesStep,
    Field(discriminator="name"),
]
"""A step that changes an image [H,W] of intensities 0..1 before it is fitted into the square of the encoder."""
