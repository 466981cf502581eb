"""Preprocess studies for a model: choose the images, load and fit them, render the prompt, and collate batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from report_gen.drafting.request import DraftRequest
from report_gen.errors import StudyError
from report_gen.imaging import load_pixels
from report_gen.imaging.transform import ImageTransform, Placement, collate_view_positions
from report_gen.model import VIEWS, Checkpoint
from report_gen.prompting import describe_views, render
from report_gen.records import Image, PreprocessedImage, Study

_GRAY = 0.5
"""Intensity of the images of the control `blank`. It is not 0: black images are not given to the model."""


@dataclass(frozen=True)
class PreprocessedStudy:
    """A study that is prepared for the model."""

    request: DraftRequest
    squares: torch.Tensor
    """[V,size,size] 0..1."""
    views: list[int]
    """[V], indices into `VIEWS`."""
    prompt_ids: list[int]
    """[P]."""
    notices: tuple[str, ...]
    """What the reader of the draft must know about the choice of images."""

    @property
    def is_blank(self) -> bool:
        """Whether every pixel of every image is black."""
        return not self.squares.any()


class ImageBatch(NamedTuple):
    """The images of B studies, in the order of the arguments of `ReportModel.encode_images`."""

    pixel_values: torch.Tensor
    """[B,V,C,H,W]."""
    view_positions: torch.Tensor
    """[B,V], indices into `VIEWS`."""
    view_mask: torch.Tensor
    """[B,V] bool, False for missing views."""


class StudyPreprocessor:
    """Preprocesses studies for one checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._config, self._tokenizer, self._prompt = checkpoint.model.config, checkpoint.tokenizer, checkpoint.prompt
        self._transform = ImageTransform.from_config(self._config.encoder, self._config.preprocessing)

    def preprocess(self, request: DraftRequest, *, blank: bool = False) -> PreprocessedStudy | StudyError:
        """Load and fit the images in views that the model was trained on, and render the prompt.

        Args:
            request: Study, indication and technique.
            blank: Replace every image with uniform gray.

        Returns:
            The preprocessed study, or the error for which this study alone is refused.
        """
        images, notices = self._choose_images(request.study)
        try:
            squares = self._gray_squares(len(images)) if blank else self._fit_images(images)
        except StudyError as error:
            return error
        if not squares.any():
            notices = (*notices, "every pixel of the image has the same value; check the export")
        if request.priors:
            notices = (*notices, f"{len(request.priors)} prior studies were given, but the model does not read priors")
        prompt = render(
            self._prompt,
            indication=request.indication or request.study.indication or "",
            views=describe_views([image.view_position for image in images]),
            technique=request.technique or "",
        )
        views = [VIEWS.index(image.view_position) for image in images]
        return PreprocessedStudy(request, squares, views, self._tokenizer.encode(prompt), notices)

    def collate(self, batch: Sequence[PreprocessedStudy]) -> ImageBatch:
        """Stack the images of B studies; missing views are black and masked."""
        squares = pad_sequence([item.squares for item in batch], batch_first=True)  # [B,V,size,size]
        view_positions, view_mask = collate_view_positions([item.views for item in batch])
        return ImageBatch(self._transform.normalize(squares), view_positions, view_mask)

    def load_first_image(self, study: Study) -> tuple[NDArray[np.float32], Placement]:
        """Return the first image that the model gets, [H,W] 0..1 before preprocessing, and its placement in the square.

        Raises:
            StudyError: The image cannot be read.
        """
        (image, *_), _ = self._choose_images(study)
        pixels = load_pixels(image)
        return pixels, self._transform.fit(pixels)[1]

    def preprocessing_stages(self, study: Study) -> tuple[PreprocessedImage, ...]:
        """Return the images that the model gets after every step of their preprocessing.

        Raises:
            StudyError: An image cannot be read.
        """
        images, _ = self._choose_images(study)
        return tuple(self._transform.stages(load_pixels(image)) for image in images)

    def _choose_images(self, study: Study) -> tuple[tuple[Image, ...], tuple[str, ...]]:
        """Return the images in views that the model was trained on, or all if there are none, and notices."""
        config, notices = self._config, []
        modalities = {series.modality for series in study.series if series.modality}
        if config.modalities and (foreign := sorted(modalities - set(config.modalities))):
            notices.append(
                f"modality {', '.join(foreign)} is not what the model was trained on ({', '.join(config.modalities)})"
            )
        known = tuple(image for image in study.images if not config.views or image.view_position in config.views)
        if not known:
            notices.append(f"no view that the model was trained on ({', '.join(config.views)})")
        elif len(known) < len(study.images):
            notices.append(
                f"{len(study.images) - len(known)} of {len(study.images)} images left out: the model was not trained "
                "on their views"
            )
        return known or study.images, tuple(notices)

    def _fit_images(self, images: Sequence[Image]) -> torch.Tensor:
        """Return squares [V,size,size]; raise StudyError for an image that cannot be read."""
        return torch.stack([self._transform.fit(load_pixels(image))[0] for image in images])

    def _gray_squares(self, images: int) -> torch.Tensor:
        return torch.full((images, self._transform.size, self._transform.size), _GRAY)
