"""The part of a recipe that describes the image recognizer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from report_gen.config import FrozenModel


class RecognizerSource(FrozenModel):
    images: str
    """Folder of images, or a CSV table with a column `image`, relative to `data`; `python:PACKAGE/FOLDER` is a folder
    of an installed Python package."""
    shows: Literal["upright", "lateral", "foreign"] = "foreign"
    """What the images show."""
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Columns of the table, and the values of the rows to use."""
    group: str = ""
    """Column of the table that identifies the patient or the case; images of one group are in one split."""


class RecognizerRecipe(FrozenModel):
    """Recognizer of images that the model is not made for, fitted to the features of the trained encoder."""

    corpora: tuple[str, ...] = ()
    """Names of the corpora whose images are upright images of the scope."""
    sources: tuple[RecognizerSource, ...] = ()
    """Further images."""
    drawn: int = Field(default=200, ge=0, le=1_000_000)
    """Number of drawn foreign images: shapes, gradients, noise and text."""
    phantoms: bool = False
    """Whether the drawn chests of `report-gen demo` are in the scope."""
    orientations: bool = True
    """Whether rotated and inverted images are recognized."""
    grid: int = Field(default=3, ge=1, le=64)
    """Patch features are averaged in `grid` x `grid` cells of the image."""
    components: int = Field(default=64, ge=1, le=65_536)
    """Number of principal components that reconstruct the features of an image."""
