"""Load the prior study of a request, for the model that compares it with the study."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from report_gen.config import ModelConfig
from report_gen.drafting.change_sentences import describe_prior_study
from report_gen.drafting.prepared_study import LoadedStudy, PriorInput
from report_gen.drafting.prior_studies import CheckedPrior, latest_prior
from report_gen.drafting.request import DraftRequest
from report_gen.errors import StudyError
from report_gen.imaging.scope import FORCE_HINT
from report_gen.records import view_offsets

_Load = Callable[[DraftRequest], LoadedStudy | StudyError]


def add_prior(loaded: LoadedStudy, load: _Load, config: ModelConfig) -> tuple[LoadedStudy, PriorInput | None]:
    """Load the prior study of a study.

    Args:
        loaded: The study. The latest prior study of its request is used.
        load: Loads a study, see `StudyPreprocessor.load`.
        config: Configuration of the model.

    Returns:
        The study with notices about the prior study, whose images are further views if the model was trained with them,
        and the prior study, or None if the model does not compare it with the study.

    Raises:
        StudyError: A prior study cannot be compared with the study, see `check_prior`.
    """
    request = loaded.request
    checked = latest_prior(request.study, request.priors)
    if checked is None:
        return loaded, None
    notices = checked.notices
    if len(request.priors) > 1:
        notices = (f"of {len(request.priors)} prior studies only the latest is used", *notices)
    loaded = replace(loaded, request=replace(request, priors=(checked.prior,)))
    prior = _load_prior(checked, load, config)
    if not isinstance(prior, str) and _are_same_images(loaded, prior):
        prior = "an image of it has the same pixels as one of the study"
    if isinstance(prior, str):
        notices = (*notices, f"the prior study is not compared: {prior}")
        return replace(loaded, notices=(*loaded.notices, *notices)), None
    notices = (*notices, *(f"prior study: {notice}" for notice in prior.notices))
    loaded = replace(loaded, notices=(*loaded.notices, *notices), seconds=loaded.seconds + prior.seconds)
    if config.sequence is not None and config.sequence.priors:
        loaded = _with_prior_views(loaded, prior, checked.days_earlier)
    name = describe_prior_study(prior.request.study, checked.days_earlier, config.scope)
    return loaded, PriorInput(checked, prior, name)


def _load_prior(checked: CheckedPrior, load: _Load, config: ModelConfig) -> LoadedStudy | str:
    """Return the prior study, or why the model does not compare it with the study."""
    if config.changes is None and (config.sequence is None or not config.sequence.priors):
        return "the model does not read earlier studies"
    loaded = load(DraftRequest(checked.prior.study))
    if isinstance(loaded, StudyError):
        return loaded.reason.removesuffix(FORCE_HINT)
    return "every pixel of its image has the same value" if loaded.is_blank else loaded


def _are_same_images(loaded: LoadedStudy, prior: LoadedStudy) -> bool:
    """Return whether an image of the prior study is one of the study, such as a copy with new UIDs.

    Uniform images do not count: those of the control `blank` are all the same.
    """
    is_varied = (loaded.pixel_values != loaded.pixel_values[..., :1, :1]).any()
    return bool(is_varied) and not set(loaded.pixel_digests).isdisjoint(prior.pixel_digests)


def _with_prior_views(loaded: LoadedStudy, prior: LoadedStudy, days_earlier: int | None) -> LoadedStudy:
    """Return a study with the images of its prior study as further views, which are so many days earlier.

    The study of the request keeps its images, so that nothing else takes the images of the prior study for its own.
    """
    days = math.nan if days_earlier is None else -days_earlier
    offsets = (offset._replace(days=days) for offset in view_offsets(prior.images))
    images = (replace(image, offset=offset) for image, offset in zip(prior.images, offsets, strict=True))
    return replace(
        loaded,
        images=(*loaded.images, *images),
        views=(*loaded.views, *prior.views),
        pixel_values=torch.cat([loaded.pixel_values, prior.pixel_values]),
        patch_features=torch.cat([loaded.patch_features, prior.patch_features]),
        placements=(*loaded.placements, *prior.placements),
        prior_views=len(prior.images),
    )
