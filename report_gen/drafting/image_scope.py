"""Apply the decisions of the image recognizer to the images of a study.

The header has precedence: an image whose header states a modality and a body part of the scope is not refused, but the
draft has a notice. Other images are left out, and a study without a remaining image is refused.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from report_gen.config import ImageClass, ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging.scope import FORCE_HINT, accepts_view
from report_gen.labeling import value_of_term
from report_gen.model import Recognition
from report_gen.prompting import describe_kind
from report_gen.records import FORCED_PREFIX, Image, ViewPosition

_IMAGE = "image"
"""Code in the message that refuses an image because of its appearance."""
_FOREIGN = "the image does not look like the images that the model was trained on"

_APPEARANCE: Mapping[ImageClass, str] = {
    "rotated_90": "appears to be rotated by 90 degrees counterclockwise; rotate it by 90 degrees clockwise",
    "rotated_180": "appears to be upside down; rotate it by 180 degrees",
    "rotated_270": "appears to be rotated by 90 degrees clockwise; rotate it by 90 degrees counterclockwise",
    "inverted": "appears to have inverted gray levels; check its Photometric Interpretation, or the export",
}


@dataclass(frozen=True)
class RecognizedImages:
    """The images of a study that remain in the scope of a model."""

    images: tuple[Image, ...]
    """The remaining images. The view of images that are recognized as lateral is LATERAL if the header states none."""
    kept: list[int]
    """Indices of the remaining images among all images."""
    notices: tuple[str, ...]
    """What the reader of the draft must know about them, and about the images that were left out."""


def apply_recognition(
    images: Sequence[Image],
    recognized: Sequence[Recognition],
    *,
    confirmed: Container[tuple[Path, int | None]],
    scope: ScopeConfig,
    force: bool,
) -> RecognizedImages:
    """Remove images that a model was not made for, by their appearance, and add notices about the others.

    Args:
        images: The images of a study.
        recognized: What each of the images shows.
        confirmed: Keys of the images whose header states that they are in the scope, see `confirmed_images`.
        scope: Scope of the model.
        force: Keep a study that would be refused, with a notice.

    Raises:
        ScopeError: Every image is outside the scope.
    """
    images = [_with_view(image, recognition) for image, recognition in zip(images, recognized, strict=True)]
    outside = {
        index: found
        for index, (image, recognition) in enumerate(zip(images, recognized, strict=True))
        if (found := _violation(image, recognition, scope)) and image.key not in confirmed
    }
    kept = [index for index in range(len(images)) if index not in outside]
    notices = _appearance_notices([(images[index], recognized[index]) for index in kept], scope)
    if not kept:
        code, reason = outside[0]
        if not force:
            path = images[0].path
            raise ScopeError(path if len(images) == 1 else path.parent, reason, code, hint=FORCE_HINT)
        why = _forced_reason(code, reason, [recognized[index].foreign_score for index in outside], scope)
        kept, notices = list(range(len(images))), [f"{FORCED_PREFIX}outside the scope of the model [{code}]: {why}"]
    elif outside:
        reasons = "; ".join(dict.fromkeys(reason for _, reason in outside.values()))
        notices.append(f"{len(outside)} of {len(images)} images left out: {reasons}")
    return RecognizedImages(tuple(images[index] for index in kept), kept, tuple(notices))


def _with_view(image: Image, recognition: Recognition) -> Image:
    if recognition.image_class == "lateral" and image.view_position is ViewPosition.UNKNOWN:
        return replace(image, view_position=ViewPosition.LATERAL)
    return image


def _violation(image: Image, recognition: Recognition, scope: ScopeConfig) -> tuple[str, str] | None:
    """Return the code and the sentence for which an image is outside the scope, or None."""
    if recognition.image_class == "foreign":
        return _IMAGE, _FOREIGN
    if image.view_position is ViewPosition.LATERAL and not accepts_view(scope.views, ViewPosition.LATERAL):
        return "view", "the image appears to be a lateral view, and the model was not trained on lateral views"
    return None


def _forced_reason(code: str, reason: str, scores: Sequence[float], scope: ScopeConfig) -> str:
    """Return why a forced draft is outside the scope, with the lowest `foreign_score` of its images."""
    if code != _IMAGE:
        return reason
    kind = describe_kind({value_of_term("modality", modality) for modality in scope.modalities}, scope.body_parts)
    what = "an image that the model was made for" if kind == "study" else f"a {kind}"
    return f"the image was not recognized as {what} (image recognizer: score {min(scores):.2f}, limit 1)"


def _appearance_notices(kept: Sequence[tuple[Image, Recognition]], scope: ScopeConfig) -> list[str]:
    """Return what the reader must know about images that are drafted, each sentence once."""
    notices = []
    for image, recognition in kept:
        if recognition.image_class in _APPEARANCE:
            notices.append(f"the image {_APPEARANCE[recognition.image_class]}")
        elif recognition.image_class == "lateral" and scope.views and image.view_position is not ViewPosition.LATERAL:
            notices.append("the image appears to be a lateral view, but its header states another view")
        elif recognition.image_class == "foreign":
            stated = "a modality and a body part" if scope.body_parts else "a modality"
            notices.append(f"{_FOREIGN}, although its header states {stated} of the scope")
    return list(dict.fromkeys(notices))
