"""Choose the images of a study by their views, and replace views that the model was not trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from report_gen.config import VIEWS, TrainedViews
from report_gen.imaging.scope import accepts_view
from report_gen.model import ReportModel
from report_gen.prompting import describe_views
from report_gen.records import Image, ViewPosition


class ChosenImages(NamedTuple):
    """The V images of a study that the model gets."""

    images: tuple[Image, ...]
    views: tuple[ViewPosition, ...]
    """[V] view of each image as the model gets it."""
    notices: tuple[str, ...]
    """What the reader of the draft must know about the choice of images and views."""


def trained_views(model: ReportModel) -> TrainedViews:
    """Return the views that a model was trained on, from its configuration or else from its weights.

    Configurations of version 0.1 do not record them. The view embeddings of such a model start at zero, and only views
    of training images leave it.
    """
    if model.config.trained_views is not None:
        return model.config.trained_views
    trained = model.projector.view_embedding.weight.any(dim=1).tolist()
    return TrainedViews(images={view: 1 for view, is_trained in zip(VIEWS, trained, strict=True) if is_trained})


def choose_images(images: Sequence[Image], declared: Collection[str], trained: TrainedViews) -> ChosenImages:
    """Choose the images in views that the model was trained on, or all images if there are none.

    Args:
        images: The images of a study.
        declared: View positions that the model was made for (`ScopeConfig.views`); if empty, the trained views. Images
            of unknown view are chosen as well.
        trained: The views that the model was trained on.
    """
    stated = tuple(declared or trained.images)
    accepted = (*stated, ViewPosition.UNKNOWN) if stated else tuple(VIEWS)
    known = tuple(image for image in images if accepts_view(accepted, image.view_position))
    chosen = known or tuple(images)
    views = tuple(replace_view(image.view_position, trained) for image in chosen)
    notices = [
        _describe_replacement(image.view_position, view, trained) for image, view in zip(chosen, views, strict=True)
    ]
    if not known:
        notices = [f"no image has a view that the model was trained on ({', '.join(declared or trained.images)})"]
    elif left_out := len(images) - len(known):
        notices.append(f"{left_out} of {len(images)} images left out: the model was not trained on their views")
    return ChosenImages(chosen, views, tuple(dict.fromkeys(filter(None, notices))))


def replace_view(view: ViewPosition, trained: TrainedViews) -> ViewPosition:
    """Return the view by which the model gets an image: a view of which the embedding is trained.

    An untrained view becomes FRONTAL if it is a frontal one, else UNKNOWN, whichever is trained. A model that was
    trained without unknown views gets its most frequent frontal view instead. If all training images had the same view,
    an image of unknown view gets this view, so that a PNG is drafted like the same image in a corpus.
    """
    embedded = trained.embedded
    if view is ViewPosition.UNKNOWN and len(trained.images) == 1:
        (view,) = trained.images
    if not embedded or view in embedded:
        return view
    if view.is_frontal and ViewPosition.FRONTAL in embedded:
        return ViewPosition.FRONTAL
    if ViewPosition.UNKNOWN in embedded:
        return ViewPosition.UNKNOWN
    # The embedding of an untrained view is zero. A decoder that was trained only with the embeddings of known views
    # generates broken text for a zero embedding, and for a prompt that names no views.
    frontal = [view for view in trained.images if view.is_frontal]
    return max(frontal or trained.images, key=trained.images.__getitem__)


def views_of_prompt(views: Sequence[ViewPosition], trained: TrainedViews) -> str:
    """Return the views as the prompt names them: in words that the decoder was trained on.

    Words that no training prompt has, such as "PA and oblique", are omitted. If every training prompt names views, the
    most frequent ones are named.

    Args:
        views: The views as the model gets them, see `replace_view`.
        trained: The views that the model was trained on.
    """
    words = describe_views(views)
    if not trained.prompts or words in trained.prompts:
        return words
    return "" if "" in trained.prompts else max(trained.prompts, key=trained.prompts.__getitem__)


def _describe_replacement(view: ViewPosition, replaced: ViewPosition, trained: TrainedViews) -> str:
    """Return a notice if the model gets a view that is not, or may not be, the one of the image; otherwise ""."""
    if view is replaced or (view.is_frontal and replaced in (ViewPosition.FRONTAL, ViewPosition.UNKNOWN)):
        return ""
    if view is ViewPosition.UNKNOWN and len(trained.images) == 1:
        return ""
    if view is ViewPosition.UNKNOWN:
        return (
            f"the view of an image is unknown; {replaced.label} is assumed; specify another view with Study.with_view"
        )
    return f"the model was not trained on the view {view.label}; the image is drafted as {replaced.label}"
