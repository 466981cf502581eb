"""Decide from the headers of a study whether a model was made for it, before any pixel is decoded.

An attribute that is missing, or whose value is not understood, excludes nothing: the image decides then, see
`model/recognizer.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from report_gen.config import DeclaredScope, ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging.body_parts import HeaderBodyParts, header_body_parts, known_body_parts
from report_gen.imaging.modality import DEFINED_MODALITIES, SLICE_MODALITIES, UNINFORMATIVE_MODALITIES, has_slices
from report_gen.imaging.patient import is_human
from report_gen.records import FORCED_PREFIX, Image, Series, Study, ViewPosition

FORCE_HINT = "; force=True drafts it anyway"
"""End of the reason of a refusal that the user can override."""


@dataclass(frozen=True)
class ScopedStudy:
    """The images of a study that are in the scope of a model."""

    study: Study
    notices: tuple[str, ...] = ()
    """Sentences about images that were left out, and about what is outside the scope if the user forced the draft."""


@dataclass(frozen=True)
class _Violation:
    """A reason for which a study or an image is outside the scope of a model."""

    code: str
    """Name of the rule, such as `body-part`."""
    found: str
    """Clause that completes "the image is outside the scope of the model: ..."."""
    made_for: str = ""
    """What the model was made for instead; empty if the clause says it."""

    @property
    def reason(self) -> str:
        """The whole clause."""
        return f"{self.found}, and the model was made for {self.made_for}" if self.made_for else self.found


def check_scope(scope: DeclaredScope) -> None:
    """Raise ValueError if a scope has values that no header can have, so that every study would be refused.

    Args:
        scope: The scope that a recipe or a description declares.
    """
    known = {
        "modalities": ("modality", DEFINED_MODALITIES),
        "body_parts": ("body part", known_body_parts() if scope.body_parts else frozenset()),
        "views": ("view", frozenset(view.value for view in ViewPosition)),
    }
    for field, (word, values) in known.items():
        if unknown := [value for value in getattr(scope, field) if value not in values]:
            raise ValueError(f"{word} {unknown[0]!r} is not known; choose from {', '.join(sorted(values))}")
    if scope.min_age is not None and scope.max_age is not None and scope.min_age > scope.max_age:
        raise ValueError(f"min_age {scope.min_age:g} is above max_age {scope.max_age:g}; exchange them")


def apply_scope(
    study: Study, scope: ScopeConfig, *, force: bool = False, max_views: int | None = None, volumes: bool = False
) -> ScopedStudy:
    """Remove the images for which a model was not made, by the headers of a study.

    Args:
        study: The study.
        scope: Scope of the model.
        force: Keep a study that would be refused, and say in a notice why it is outside the scope. Single images are
            still left out.
        max_views: Largest number of images of a study. Default: that of the scope.
        volumes: Whether the model takes slices and frames, of which some are chosen for it.

    Returns:
        The study with the remaining images, and notices.

    Raises:
        ScopeError: The study, or every image of it, is outside the scope. `force` does not lift the two limits that
            protect the memory: on the number of images, and on slices and frames.
    """
    violations = list(_study_violations(study, scope))
    by_image = {
        image.key: found
        for series in study.series
        for image in series.images
        if (found := tuple(_image_violations(image, series, scope)))
    }
    notices = _unreadable_notices(study)
    if len(by_image) == len(study.images):
        violations += [violation for found in by_image.values() for violation in found]
    elif by_image:
        reasons = "; ".join(dict.fromkeys(found[0].reason for found in by_image.values()))
        notices.append(f"{len(by_image)} of {len(study.images)} images left out: {reasons}")
        study = study.with_images([image for image in study.images if image.key not in by_image])
    # A CT with a placeholder as age is refused for what it is.
    violations.sort(key=lambda violation: violation.code != "modality")
    too_large = None
    if not (volumes and has_slices(study)):
        too_large = _size_violation(study, max_views or scope.max_images)
    if violations and not force:
        raise _scope_error(study, violations[0], "" if too_large else FORCE_HINT)
    if too_large:
        raise _scope_error(study, too_large)
    return ScopedStudy(study, (*_forced_notices(violations), *notices, *_contradiction_notices(study, scope)))


def accepts_view(accepted: Collection[str], view: ViewPosition) -> bool:
    """Return whether a view is among the accepted ones, or any is. FRONTAL includes PA and AP, and may be either."""
    if not accepted:
        return True
    if view is ViewPosition.FRONTAL:
        return not {ViewPosition.PA, ViewPosition.AP, ViewPosition.FRONTAL}.isdisjoint(accepted)
    return view in accepted or (view.is_frontal and ViewPosition.FRONTAL in accepted)


def confirmed_images(study: Study, scope: ScopeConfig) -> frozenset[tuple[Path, int | None]]:
    """Return the keys of the images whose header states a modality and a body part of the scope, and no other part.

    If the scope names no body parts, the modality suffices.
    """
    return frozenset(
        image.key
        for series in study.series
        for image in series.images
        if series.modality in scope.modalities and _confirms(header_body_parts(series), scope.body_parts)
    )


def _confirms(named: HeaderBodyParts, accepted: Collection[str]) -> bool:
    return not accepted or (not named.stated.isdisjoint(accepted) and not named.contradicts(accepted))


def _size_violation(study: Study, max_images: int) -> _Violation | None:
    """Return why a study is too large: it is a volume or a cine, or has more images than a model is given at once."""
    slices = Counter(
        series.modality for series in study.series for _ in series.images if series.modality in SLICE_MODALITIES
    )
    for modality, number in slices.items():  # slices may be in a series each
        if number > 1:
            reason = f"{number} {modality} images in one study; volumes are not supported, give one image"
            return _Violation("volume", reason)
    parts = sum(image.plane is not None or image.frame is not None for image in study.images)
    if parts > 1:
        reason = f"{parts} slices or frames in one study; volumes and cines are not supported, give one image"
        return _Violation("volume", reason)
    if len(study.images) > max_images:
        reason = (
            f"{len(study.images)} images in one study, and the limit is {max_images}; give fewer images, each study in "
            "a folder of its own, or a higher limit with limits=StudyLimits(max_views=...), which takes more memory"
        )
        return _Violation("image-count", reason)
    return None


def _study_violations(study: Study, scope: ScopeConfig) -> Iterator[_Violation]:
    species, age = study.patient_species, study.patient_age
    if scope.humans_only and species and not is_human(species):
        yield _Violation("species", "the header names another species", "humans")
    if age is not None and scope.min_age is not None and age < scope.min_age:
        yield _Violation("age", f"the patient is younger than {scope.min_age:g} years", "older patients")
    if age is not None and scope.max_age is not None and age > scope.max_age:
        yield _Violation("age", f"the patient is older than {scope.max_age:g} years", "younger patients")


def _image_violations(image: Image, series: Series, scope: ScopeConfig) -> Iterator[_Violation]:
    modality = series.modality
    if scope.modalities and modality and modality not in (*scope.modalities, *UNINFORMATIVE_MODALITIES):
        named = modality if modality in DEFINED_MODALITIES else "none that the standard defines"
        yield _Violation("modality", f"the modality is {named}", ", ".join(scope.modalities))
    parts = header_body_parts(series)
    if scope.body_parts and parts.stated and not parts.stated & set(scope.body_parts):
        stated = ", ".join(map(parts.describe, sorted(parts.stated)))
        yield _Violation("body-part", f"the header names {stated}", ", ".join(scope.body_parts))
    if not (image.view_position is ViewPosition.UNKNOWN or accepts_view(scope.views, image.view_position)):
        views = ", ".join(view for view in scope.views if view != ViewPosition.UNKNOWN)
        yield _Violation("view", f"the view is {image.view_position.label}", views)
    if image.quality_control:
        yield _Violation("quality-control", "a quality control image, which shows a phantom and no patient")
    if image.synthetic:
        yield _Violation("synthetic", "a synthetic image, which shows no patient")
    if image.for_processing:
        yield _Violation("for-processing", "raw detector values (FOR PROCESSING), which are not meant to be read")


def _scope_error(study: Study, violation: _Violation, hint: str = "") -> ScopeError:
    return ScopeError(study.path, violation.found, violation.code, violation.made_for, hint)


def _unreadable_notices(study: Study) -> list[str]:
    unreadable = study.unreadable_images
    if not unreadable:
        return []
    verb = "is" if unreadable == 1 else "are"
    return [f"{unreadable} of {len(study.images) + unreadable} images cannot be read and {verb} not in this draft"]


def _contradiction_notices(study: Study, scope: ScopeConfig) -> tuple[str, ...]:
    """Return which attributes name another body part although the header states one of the scope."""
    expected = ", ".join(scope.body_parts)
    contradicting = [
        named for series in study.series if (named := header_body_parts(series)).contradicts(scope.body_parts)
    ]
    notices = (
        f"the header contradicts itself: {_listed(named)}; check that the image shows the {expected}"
        for named in contradicting
    )
    return tuple(dict.fromkeys(notices))


def _listed(named: HeaderBodyParts) -> str:
    return ", ".join(f"{name} names {', '.join(sorted(parts))}" for name, parts in named.by_attribute.items())


def _forced_notices(violations: Sequence[_Violation]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(f"{FORCED_PREFIX}outside the scope of the model [{one.code}]: {one.reason}" for one in violations)
    )
