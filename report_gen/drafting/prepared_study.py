"""Records of a study on its way to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from report_gen.drafting.prior_studies import CheckedPrior
from report_gen.drafting.request import DraftRequest
from report_gen.drafting.token_budget import FittedPrompt
from report_gen.imaging.transform import Placement
from report_gen.records import Image, ViewPosition


@dataclass(frozen=True)
class LoadedStudy:
    """The images of a study that the headers leave in the scope of the model."""

    request: DraftRequest
    """The request, with the study of these images only."""
    images: tuple[Image, ...]
    """V images; the slice in the middle of a volume for an encoder of volumes, whose `request` has all slices."""
    views: tuple[ViewPosition, ...]
    """[V], view of each image as the model gets it."""
    pixel_values: torch.Tensor
    """[V,C,size,size], input of the encoder."""
    patch_features: torch.Tensor
    """[V,N,D_img], output of the encoder."""
    placements: tuple[Placement, ...]
    """[V], position of each image in the square that the encoder gets."""
    notices: tuple[str, ...]
    """What the reader of the draft must know about the choice of images."""
    is_blank: bool
    """Whether every pixel of every image is black."""
    pixel_digests: tuple[str, ...]
    """SHA-256 of the pixels of each image of the study itself, see `digest_pixels`."""
    seconds: float = 0.0
    """Time that loading the study took."""
    prior_views: int = 0
    """How many of the V images, the last ones, are those of the prior study."""

    @property
    def own_views(self) -> tuple[ViewPosition, ...]:
        """Views of the images of the study itself."""
        return self.views[: len(self.views) - self.prior_views]


class PriorInput(NamedTuple):
    """The prior study with which a study is compared."""

    checked: CheckedPrior
    loaded: LoadedStudy
    name: str
    """Text of the section COMPARISON that names it."""


@dataclass(frozen=True)
class PreprocessedStudy:
    """A study that is prepared for the model."""

    loaded: LoadedStudy
    prompt: FittedPrompt
    comparison: str
    """Text of the section COMPARISON; empty if there is none."""
    prior: PriorInput | None = None

    @property
    def request(self) -> DraftRequest:
        """The request, with the study of those images only that the model gets."""
        return self.loaded.request

    @property
    def seconds(self) -> float:
        """Time that loading the study took."""
        return self.loaded.seconds
