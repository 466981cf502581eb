"""The part of a recipe that describes the image recognizer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from report_gen.config import FrozenModel

from .names import Label


class RecognizerSource(FrozenModel):
    images: str
    """Folder of images, or a CSV table with a column `image`, relative to `data`; `python:PACKAGE/FOLDER` is a folder
    of an installed Python package."""
    shows: Literal["upright", "lateral", "foreign"] = "foreign"
    """Class of the images: `upright`, `lateral`, or `foreign` for images that the model is not made for."""
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Columns of the table, and the values of the rows to use."""
    group: str = ""
    """Column of the table that identifies the patient or the case; images of one group are in one split."""


class RecognizerRecipe(FrozenModel):
    """Recognizer of images that the model is not made for, fitted to the features of the trained encoder."""

    corpora: tuple[Label, ...] = ()
    """Names of the corpora whose images are examples of the class `upright`."""
    sources: tuple[RecognizerSource, ...] = ()
    """Further images, with their class."""
    drawn: int = Field(default=200, ge=0, le=10_000)
    """Number of images of the class `foreign` that are drawn by code: shapes, gradients, noise and text."""
    phantoms: bool = False
    """Whether 30 chest phantoms, as drawn by `report-gen demo`, are added to the class `upright`."""
    orientations: bool = True
    """Whether rotated and inverted copies of upright images are classes of their own."""
    grid: int = Field(default=3, ge=1, le=64)
    """Patch features are averaged in `grid` x `grid` cells of the image."""
    components: int = Field(default=64, ge=1, le=65_536)
    """Number of principal components that reconstruct the features of an image."""
