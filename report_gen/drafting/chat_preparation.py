"""Prepare studies for a model that answers a chat: choose and load the images, and fill in the prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from report_gen.backends import LONGEST_CHAT_VALUE, ModelDescription, Pixels
from report_gen.config import ScopeConfig
from report_gen.drafting.change_sentences import describe_prior_study
from report_gen.drafting.identifiers import header_identifiers, without_identifiers
from report_gen.drafting.image_fitting import image_notices, load_in_windows
from report_gen.drafting.limits import Deadline, StudyLimits
from report_gen.drafting.prior_studies import CheckedPrior, latest_prior
from report_gen.drafting.prompt_values import prompt_values, shorten_values
from report_gen.drafting.report_generator import BlankStudy
from report_gen.drafting.request import DraftRequest
from report_gen.imaging import GdcmProcess, memory_errors
from report_gen.imaging.scope import ScopedStudy, apply_scope
from report_gen.imaging.volumes import CT_WINDOWS, choose_views, has_slices
from report_gen.prompting import PromptValues, describe_views
from report_gen.records import Image, Study

_GRAY = 127
"""Intensity of the images of the control `blank`. It is not 0: black images are not given to the model."""


@dataclass(frozen=True)
class ChatStudy:
    """A study that is ready for a chat."""

    request: DraftRequest
    images: tuple[Pixels, ...]
    values: PromptValues
    used_values: Mapping[str, str]
    """Values of the prompt as the model gets them, by the names of its placeholders."""
    notices: tuple[str, ...]
    pixel_digests: tuple[str, ...]
    """SHA-256 of the pixels of each image, as the model gets them."""
    comparison: str
    """Text of the section COMPARISON; empty if there is none."""
    seconds: float


class ChatPreparer:
    """Prepares studies for one described model.

    Args:
        description: The model.
    """

    def __init__(self, description: ModelDescription) -> None:
        self._settings, self._prompt = description.settings, description.prompt
        self._scope = ScopeConfig(**self._settings.scope.model_dump())
        volumes = self._settings.images.volumes
        names = () if volumes is None or volumes.windows is None else volumes.windows
        self._windows = tuple(CT_WINDOWS[name] for name in names)
        self._gdcm = GdcmProcess()  # shared by all studies

    def prepare(
        self, request: DraftRequest, *, limits: StudyLimits, blank: bool, force: bool
    ) -> ChatStudy | BlankStudy:
        """Load the images of a study that are in the scope of the model, and fill in the prompt.

        Args:
            request: The study, its prior study and the texts of the reader.
            limits: Images that the study may have, and time that its draft may take.
            blank: Replace every image with uniform gray.
            force: Prepare a study outside the scope as well, with a notice.

        Raises:
            StudyError: The study cannot be read, is outside the scope, or its prior study cannot be compared with it.
        """
        deadline = Deadline(request.study, limits.seconds)
        scoped = self._choose_images(request.study, max_views=limits.max_views, force=force)
        request = replace(request, study=scoped.study)
        images, notices = self._load(scoped.study.images, deadline, blank=blank)
        notices = (*scoped.notices, *notices)
        if not any(image.any() for image in images):
            uniform = "every pixel of the image has the same value; check the export"
            return BlankStudy(request=request, notices=(*notices, uniform))
        checked = latest_prior(request.study, request.priors)
        if checked is not None:
            notices = (*notices, *self._prior_notices(request, checked))
            request = replace(request, priors=(checked.prior,))
        comparison = request.comparison or self._name_prior(checked)
        given = prompt_values(request, describe_views(image.view_position for image in scoped.study.images), comparison)
        anonymous = without_identifiers(given, header_identifiers(request.study))
        if anonymous != given:
            notices = (*notices, "names and numbers of the patient were removed from the prompt")
        values, shortened = shorten_values(anonymous, self._prompt.placeholders, LONGEST_CHAT_VALUE)
        return ChatStudy(
            request=request,
            images=images,
            values=values,
            used_values={name: getattr(values, name) for name in self._prompt.placeholders if name != "views"},
            notices=(*notices, *shortened),
            pixel_digests=tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in images),
            comparison=comparison,
            seconds=deadline.spent,
        )

    def given_slices(self, study: Study, *, max_views: int | None) -> tuple[Image, ...]:
        """Return the slices of a volume that the model gets; empty for a study without slices."""
        if self._settings.images.volumes is None or not has_slices(study):
            return ()
        return self._choose_images(study, max_views=max_views, force=True).study.images

    def _choose_images(self, study: Study, *, max_views: int | None, force: bool) -> ScopedStudy:
        """Remove the images outside the scope, choose slices of volumes, and keep as many as the model takes."""
        images = self._settings.images
        limit = min(images.max_images, max_views or images.max_images)
        scoped = apply_scope(study, self._scope, force=force, max_views=max_views, volumes=images.volumes is not None)
        if images.volumes is not None and has_slices(scoped.study):
            chosen = choose_views(
                scoped.study, min(limit, images.volumes.views), sampling=images.volumes.sampling, windows=self._windows
            )
            return ScopedStudy(chosen.study, (*scoped.notices, *chosen.notices))
        found = scoped.study.images
        if len(found) <= limit:
            return scoped
        frontal_first = sorted(found, key=lambda image: not image.view_position.may_be_frontal)
        left_out = f"{len(found) - limit} of {len(found)} images left out: the model takes {limit}"
        return ScopedStudy(scoped.study.with_images(frontal_first[:limit]), (*scoped.notices, left_out))

    def _load(
        self, images: tuple[Image, ...], deadline: Deadline, *, blank: bool
    ) -> tuple[tuple[Pixels, ...], tuple[str, ...]]:
        """Load images as the model gets them, with the notices of their pixels."""
        loaded: list[Pixels] = []
        notices: list[tuple[str, ...]] = []
        for image in images:  # one by one: an image of full size takes much more memory than the reduced one
            pixels, found = load_in_windows(image, self._windows, self._gdcm)
            with memory_errors(image.path):
                reduced = _reduce(pixels, self._settings.images.size)
            loaded.append(np.full_like(reduced, _GRAY) if blank else reduced)
            notices.append(() if blank else found)
            deadline.check()
        return tuple(loaded), image_notices(notices)

    def _name_prior(self, checked: CheckedPrior | None) -> str:
        if checked is None:
            return ""
        return describe_prior_study(checked.prior.study, checked.days_earlier, self._scope)

    def _prior_notices(self, request: DraftRequest, checked: CheckedPrior) -> tuple[str, ...]:
        """Return what the reader must know about the prior study."""
        notices = list(checked.notices)
        if len(request.priors) > 1:
            notices.insert(0, f"of {len(request.priors)} prior studies only the latest is used")
        if checked.prior.report is None or "prior_report" not in self._prompt.placeholders:
            notices.append("the prior study is not compared: the model gets neither its images nor its report")
        return tuple(notices)


def _reduce(pixels: NDArray[np.float32], size: int) -> Pixels:
    """Return an image as the model gets it, not larger than `size` pixels on each side.

    Args:
        pixels: Intensities [H,W] or [3,H,W] in 0..1.
        size: Length of the longer side, pixels.
    """
    image = torch.from_numpy(np.ascontiguousarray(pixels)).reshape(1, -1, *pixels.shape[-2:])  # [1,C,H,W]
    scale = size / max(pixels.shape[-2:])
    if scale < 1:
        rows, columns = (max(1, round(length * scale)) for length in pixels.shape[-2:])
        image = F.interpolate(image, size=(rows, columns), mode="bilinear", antialias=True, align_corners=False)
    channels = (image[0].clamp(0, 1) * 255).round().to(torch.uint8).expand(3, -1, -1)
    return np.ascontiguousarray(channels.permute(1, 2, 0).numpy())
