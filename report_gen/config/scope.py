"""The configuration of a model's scope: the studies and images that it was made for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from report_gen.config.base import FrozenModel
from report_gen.records import ViewPosition

ImageClass = Literal["upright", "lateral", "rotated_90", "rotated_180", "rotated_270", "inverted", "foreign"]
"""Class of an image: upright frontal, lateral, rotated counterclockwise by 90, 180 or 270 degrees, with inverted gray
levels, or `foreign`: unlike the images that the model was trained on."""


class RecognizerConfig(FrozenModel):
    """Classes and thresholds of the image recognizer, see `model/recognizer.py`."""

    classes: tuple[ImageClass, ...]
    """Classes in the order of the logits; `foreign` is the last."""
    grid: int = Field(default=3, ge=1, le=64)
    """Patch features are averaged in `grid` x `grid` cells of the image."""
    components: int = Field(default=64, ge=1, le=65_536)
    """Number of principal components that reconstruct the features of an image."""
    max_foreign: float = Field(default=0.5, gt=0, le=1)
    """An image whose probability of `foreign` is above this value is refused."""
    max_distance: float = Field(gt=0)
    """Maximum reconstruction error of an image that is drafted, in standard deviations of a feature."""

    @model_validator(mode="after")
    def _check(self) -> RecognizerConfig:
        if len(set(self.classes)) < len(self.classes) or "upright" not in self.classes or self.classes[-1] != "foreign":
            raise ValueError("classes contain a duplicate, lack 'upright' or do not end with 'foreign'; correct them")
        return self


class DeclaredScope(FrozenModel):
    """Studies that a model was made for. Others are refused, unless the user forces a draft.

    An attribute that is missing from a header, or has an unknown value, does not exclude a study.
    """

    modalities: tuple[Annotated[str, AfterValidator(str.upper)], ...] = ()
    """DICOM modalities, such as CR and DX. Empty: any."""
    body_parts: tuple[Annotated[str, AfterValidator(str.lower)], ...] = ()
    """Body parts by the names of `imaging/vocabularies/body_parts.toml`, such as chest. Empty: any."""
    views: tuple[Annotated[str, AfterValidator(str.upper)], ...] = ()
    """View positions, such as PA and AP. Images in other views are left out of a study. Empty: any."""
    min_age: float | None = Field(default=None, ge=0)
    """Minimum age of the patient, years. None: any."""
    max_age: float | None = Field(default=None, gt=0)
    """Maximum age of the patient, years. None: any."""
    humans_only: bool = True
    """Whether animals are outside the scope."""
    max_images: int = Field(default=16, ge=1, le=4096)
    """Maximum number of images of one study. Memory and time of a draft grow with this number."""


class ScopeConfig(DeclaredScope):
    """The declared scope and the settings of the image recognizer."""

    recognizer: RecognizerConfig | None = None
    """Image recognizer. None: images are accepted or refused by their headers only."""


class TrainedViews(FrozenModel):
    """The views that a model was trained on. Other views must not reach it: their embedding is untrained."""

    images: dict[ViewPosition, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Number of training images by the view that the corpora specify."""
    prompts: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """Number of training reports by the views that the prompt names, such as "PA and lateral"; "" if it names none."""
    dropout: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the training images whose view was dropped, which trains the embedding of the unknown view."""

    @property
    def embedded(self) -> frozenset[ViewPosition]:
        """Views whose embedding is trained, UNKNOWN among them if views were dropped."""
        return frozenset(self.images) | ({ViewPosition.UNKNOWN} if self.images and self.dropout else frozenset())
