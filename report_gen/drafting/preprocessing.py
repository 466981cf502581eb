"""Studies made ready for a model: images chosen, read and fitted, prompts worded, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging.reading import load_pixels
from report_gen.imaging.transform import ImageTransform, Placement
from report_gen.model import Checkpoint
from report_gen.model.projector import VIEWS
from report_gen.prompting import describe_views, render
from report_gen.records.study import Image, Study

_GREY = 0.5


@dataclass(frozen=True)
class Prepared:
    """A study on its way through the model."""

    study: Study
    squares: torch.Tensor  # [V,size,size] 0..1
    views: list[int]  # [V], indices into VIEWS
    prompt_ids: list[int]  # [P]
    notices: tuple[str, ...]

    @property
    def is_blank(self) -> bool:
        return not self.squares.any()


class StudyPreprocessor:
    """Makes studies ready for one checkpoint."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._config, self._tokenizer, self._prompt = checkpoint.model.config, checkpoint.tokenizer, checkpoint.prompt
        encoder = self._config.encoder
        self._transform = ImageTransform(
            size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std
        )

    def prepare(self, study: Study, *, indication: str | None = None, blank: bool = False) -> Prepared | StudyError:
        """Read and fit the images that the model knows how to look at, and word the prompt.

        Args:
            indication: why the study was asked for; its own by default.
            blank: plain grey in place of every image.
        """
        images, notices = self._choose_images(study)
        try:
            squares = self._grey(len(images)) if blank else self._fit(images)
        except StudyError as error:
            return error
        if not squares.any():
            notices = (*notices, "every pixel of the image has the same value; check the export")
        prompt = render(
            self._prompt,
            indication=indication or study.indication or "",
            views=describe_views([image.view_position for image in images]),
            technique="",
        )
        views = [VIEWS.index(image.view_position) for image in images]
        return Prepared(study, squares, views, self._tokenizer.encode(prompt), notices)

    def show(self, study: Study) -> tuple[NDArray[np.float32], Placement]:
        """The first image that the model looks at, [H,W] 0..1, and where it lies in the square. Raises StudyError."""
        (image, *_), _ = self._choose_images(study)
        pixels = load_pixels(image)
        return pixels, self._transform.fit(pixels)[1]

    def _fit(self, images: Sequence[Image]) -> torch.Tensor:
        """[V,size,size] 0..1; raises StudyError."""
        return torch.stack([self._transform.fit(load_pixels(image))[0] for image in images])

    def _grey(self, images: int) -> torch.Tensor:
        """[V,size,size] of one value that is not 0, so the model is asked: a black image would be refused."""
        return torch.full((images, self._transform.size, self._transform.size), _GREY)

    def _choose_images(self, study: Study) -> tuple[tuple[Image, ...], tuple[str, ...]]:
        """The images in views the model was trained on, else all; and what the reader must know of the choice."""
        config, notices = self._config, []
        modalities = {series.modality for series in study.series if series.modality}
        if config.modalities and (strange := sorted(modalities - set(config.modalities))):
            notices.append(
                f"modality {', '.join(strange)} is not what the model was trained on ({', '.join(config.modalities)})"
            )
        known = tuple(image for image in study.images if not config.views or image.view_position in config.views)
        if not known:
            notices.append(f"no view that the model was trained on ({', '.join(config.views)})")
        elif len(known) < len(study.images):
            notices.append(
                f"{len(study.images) - len(known)} of {len(study.images)} images left out: not a view of the training"
            )
        return known or study.images, tuple(notices)

    def collate(self, batch: list[Prepared]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """pixel_values [B,V,C,H,W], view positions [B,V] and view mask [B,V]; missing views are black and masked."""
        views = max(len(item.views) for item in batch)
        squares = torch.stack([_padded(item.squares, views) for item in batch])
        positions = torch.stack([_padded(torch.tensor(item.views), views) for item in batch])
        mask = torch.stack([_padded(torch.ones(len(item.views), dtype=torch.bool), views) for item in batch])
        pixel_values = self._transform.normalize(squares)
        return pixel_values, positions, mask


def _padded(rows: torch.Tensor, length: int) -> torch.Tensor:
    """[V,...] -> [length,...], filled with zeros."""
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])
