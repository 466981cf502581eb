"""Preprocess studies for a model: choose the images, load and fit them, render the prompt, and collate batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from report_gen.config import VIEWS
from report_gen.drafting.image_fitting import FittedImages, digest_pixels, fit_images
from report_gen.drafting.image_scope import apply_recognition
from report_gen.drafting.limits import NO_LIMITS, Deadline, StudyLimits
from report_gen.drafting.prepared_study import LoadedStudy, PreprocessedStudy, PriorInput
from report_gen.drafting.prompt_values import prompt_values
from report_gen.drafting.request import DraftRequest
from report_gen.drafting.token_budget import fit_prompt
from report_gen.drafting.views import choose_images, trained_views, views_of_prompt
from report_gen.errors import StudyError, without_traceback
from report_gen.imaging import GdcmProcess, load_image
from report_gen.imaging.scope import ScopedStudy, apply_scope, confirmed_images
from report_gen.imaging.transform import ImageTransform, Placement, collate_view_offsets, collate_view_positions
from report_gen.imaging.volumes import choose_views, choose_volume, has_slices
from report_gen.model import Checkpoint
from report_gen.records import Image, PreprocessedImage, Study, view_offsets

_CPU = torch.device("cpu")

_CHUNK = 4
"""Images that pass the encoder together, so that its memory does not grow with the images of a study."""


class ImageBatch(NamedTuple):
    """The images of B studies, in the order of the arguments of `ReportModel.encode_images`."""

    pixel_values: torch.Tensor
    """[B,V,C,H,W]."""
    view_positions: torch.Tensor
    """[B,V], indices into `VIEWS`."""
    view_mask: torch.Tensor
    """[B,V] bool, False for missing views."""
    patch_features: torch.Tensor
    """[B,V,N,D_img], output of the encoder."""
    view_offsets: torch.Tensor
    """[B,V,3], `ViewOffset` of each view."""


class StudyPreprocessor:
    """Preprocesses studies for one checkpoint.

    Args:
        checkpoint: Model, tokenizer and prompt.
        device: Device of the model.
        dtype: Floating-point type of the model.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, device: torch.device = _CPU, dtype: torch.dtype = torch.float32
    ) -> None:
        self._model, self._tokenizer, self._prompt = checkpoint.model, checkpoint.tokenizer, checkpoint.prompt
        self._scope, self._device, self._dtype = self._model.config.scope, device, dtype
        self._trained_views = trained_views(self._model)
        config = self._model.config
        self._gdcm = GdcmProcess()  # shared by all studies
        self._transform = ImageTransform.from_config(config.encoder, config.preprocessing, config.volumes)

    @torch.inference_mode()
    def load(
        self,
        request: DraftRequest,
        *,
        blank: bool = False,
        force: bool = False,
        limits: StudyLimits = NO_LIMITS,
    ) -> LoadedStudy | StudyError:
        """Load and encode the images of a study that are in the scope of the model, by their headers and appearance.

        The encoder runs study by study, so that rounding does not depend on the other studies of a batch.

        Args:
            request: Study, indication and technique.
            blank: Replace every image with uniform gray.
            force: Load a study outside the scope as well, with a notice.
            limits: Images that the study may have, and time that loading may take.

        Returns:
            The images, or the error for which this study alone is refused.
        """
        request = replace(request, study=request.study.with_attributes(request.attributes))
        deadline = Deadline(request.study, limits.seconds)
        try:
            scoped = self._apply_scope(request.study, force=force, max_views=limits.max_views)
            fitted = fit_images(
                self._transform, scoped.study.images, gdcm=self._gdcm, check=deadline.check, blank=blank
            )
            loaded = self._encode(replace(request, study=scoped.study), fitted, scoped.notices, deadline)
            if self._transform.volume_window is not None:  # neither recognized nor chosen by its view
                return replace(loaded, seconds=deadline.spent)
            recognized = loaded if blank or loaded.is_blank else self._recognize(loaded, force=force)
            deadline.check()
            return replace(self._choose_views(recognized), seconds=deadline.spent)
        except StudyError as error:
            return without_traceback(error)

    def prepare(
        self, loaded: LoadedStudy, *, max_report_tokens: int, prior: PriorInput | None = None
    ) -> PreprocessedStudy | StudyError:
        """Fit the prompt of a study into the positions of the decoder.

        Args:
            loaded: The images.
            max_report_tokens: Maximum number of report tokens that the user wants.
            prior: The prior study with which the study is compared.

        Returns:
            The study, or the error for which this study alone is refused.
        """
        request = loaded.request
        comparison = request.comparison or ("" if prior is None else prior.name)
        visual_positions = self._model.visual_positions(len(loaded.images))
        prompt = fit_prompt(
            self._prompt,
            self._tokenizer,
            prompt_values(request, views_of_prompt(loaded.own_views, self._trained_views), comparison),
            free_positions=self._model.decoder.positions - visual_positions - 1,
            max_report_tokens=max_report_tokens,
        )
        if prompt is None:
            reason = (
                f"{len(loaded.images)} images and the prompt take all {self._model.decoder.positions} positions of the "
                "decoder and leave none for a report; give fewer images"
            )
            return StudyError(request.study.path, reason)
        return PreprocessedStudy(loaded, prompt, comparison, prior)

    def collate(self, batch: Sequence[LoadedStudy]) -> ImageBatch:
        """Stack the images of B studies on the device; missing views are zero and masked."""
        view_positions, view_mask = collate_view_positions(
            [[VIEWS.index(view) for view in item.views] for item in batch]
        )
        return ImageBatch(
            pad_sequence([item.pixel_values for item in batch], batch_first=True),
            view_positions.to(self._device),
            view_mask.to(self._device),
            pad_sequence([item.patch_features for item in batch], batch_first=True),
            collate_view_offsets([view_offsets(item.images) for item in batch]).to(self._device),
        )

    def load_first_image(self, loaded: LoadedStudy) -> tuple[NDArray[np.float32], Placement]:
        """Return the first image of a study, [H,W] 0..1 before preprocessing, and its placement in the square.

        Raises:
            StudyError: The image cannot be read.
        """
        pixels = load_image(loaded.images[0], self._gdcm).pixels
        return pixels, self._transform.fit(pixels)[1]

    def preprocessing_stages(self, loaded: LoadedStudy) -> tuple[PreprocessedImage, ...]:
        """Return the images of a study after every step of their preprocessing.

        Raises:
            StudyError: An image cannot be read.
        """
        return tuple(self._transform.stages(load_image(image, self._gdcm).pixels) for image in loaded.images)

    def given_slices(self, study: Study, *, max_views: int | None) -> tuple[Image, ...]:
        """Return the slices that are chosen for a model of volumes; nothing for another model, or without slices.

        Raises:
            StudyError: The slices cannot be read.
        """
        if self._model.config.volumes is None or not has_slices(study):
            return ()
        return self._apply_scope(study, force=True, max_views=max_views).study.images

    def _apply_scope(self, study: Study, *, force: bool, max_views: int | None) -> ScopedStudy:
        """Remove the images outside the scope, and choose slices of a volume for a model that takes volumes."""
        volumes = self._model.config.volumes
        scoped = apply_scope(study, self._scope, force=force, max_views=max_views, volumes=volumes is not None)
        if self._transform.volume_window is not None:
            volume = choose_volume(scoped.study, self._transform.volume_window)
            return ScopedStudy(volume.study, (*scoped.notices, *volume.notices))
        if volumes is None or not has_slices(scoped.study):
            return scoped
        views = min(volumes.views, max_views or volumes.views)
        chosen = choose_views(scoped.study, views, sampling=volumes.sampling, windows=self._transform.windows)
        return ScopedStudy(chosen.study, (*scoped.notices, *chosen.notices))

    def _encode(
        self,
        request: DraftRequest,
        fitted: FittedImages,
        notices: tuple[str, ...],
        deadline: Deadline,
    ) -> LoadedStudy:
        squares, notices = fitted.squares, (*notices, *fitted.notices)
        is_blank = not squares.any()
        if is_blank:
            notices = (*notices, "every pixel of the image has the same value; check the export")
        pixel_values = self._transform.normalize(squares).to(self._device, self._dtype)
        views = tuple(image.view_position for image in fitted.images)
        features = []
        for chunk in torch.split(pixel_values, _CHUNK):
            deadline.check()
            features.append(self._model.encoder(chunk))
        return LoadedStudy(
            request=request,
            images=fitted.images,
            views=views,
            pixel_values=pixel_values,
            patch_features=torch.cat(features),
            placements=fitted.placements,
            notices=notices,
            is_blank=is_blank,
            pixel_digests=digest_pixels(squares),
        )

    def _recognize(self, loaded: LoadedStudy, *, force: bool) -> LoadedStudy:
        """Remove images that the image recognizer refuses; raise ScopeError if none remains."""
        recognizer = self._model.recognizer
        if recognizer is None:
            return loaded
        scoped = apply_recognition(
            loaded.images,
            recognizer.recognize(loaded.patch_features.float()),
            confirmed=confirmed_images(loaded.request.study, self._scope),
            scope=self._scope,
            force=force,
        )
        return _select(loaded, scoped.kept, images=scoped.images, notices=(*loaded.notices, *scoped.notices))

    def _choose_views(self, loaded: LoadedStudy) -> LoadedStudy:
        """Leave images in untrained views out of a study with others, and replace untrained views."""
        chosen = choose_images(loaded.images, self._scope.views, self._trained_views)
        kept = [index for index, image in enumerate(loaded.images) if image in chosen.images]
        notices = (*loaded.notices, *chosen.notices)
        return _select(loaded, kept, images=chosen.images, views=chosen.views, notices=notices)


def _select(loaded: LoadedStudy, kept: list[int], *, images: tuple[Image, ...], **changes: Any) -> LoadedStudy:
    """Return a study with the images at these indices, and with further changes.

    The study of the request keeps only these images as well, so that neither the provenance nor the prompt, random
    generator and attributes depend on an image that the model did not get.
    """
    return replace(
        loaded,
        request=replace(loaded.request, study=loaded.request.study.with_images(images)),
        pixel_values=loaded.pixel_values[kept],
        patch_features=loaded.patch_features[kept],
        pixel_digests=tuple(loaded.pixel_digests[index] for index in kept),
        placements=tuple(loaded.placements[index] for index in kept),
        images=images,
        **changes,
    )
