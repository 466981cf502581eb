"""Decide from the headers of a study whether a model was made for it, before any pixel is decoded.

An attribute that is missing, or whose value is not understood, excludes nothing: the image decides then, see
`model/recognizer.py`.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from report_gen.config import ScopeConfig
from report_gen.errors import ScopeError
from report_gen.records import Image, Series, Study, ViewPosition

SLICE_MODALITIES = frozenset({"CT", "MR", "PT", "NM"})
"""Modalities (PS3.3 C.7.3.1.1.1) whose series are the slices of a volume."""

UNINFORMATIVE_MODALITIES = frozenset({"OT", "SC"})
"""Modalities that say how an image was exported, not how it was acquired: other, secondary capture."""

FORCE_HINT = "; --force drafts it anyway"
"""End of the reason of a refusal that the user can override."""

_HUMAN = ("homo sapiens", "human")


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
    reason: str
    """Clause that completes "the image is outside the scope of the model: ..."."""


def apply_scope(study: Study, scope: ScopeConfig, *, force: bool = False) -> ScopedStudy:
    """Remove the images for which a model was not made, by the headers of a study.

    Args:
        study: The study.
        scope: Scope of the model.
        force: Keep a study that would be refused, and say in a notice why it is outside the scope. Single images are
            still left out.

    Returns:
        The study with the remaining images, and notices.

    Raises:
        ScopeError: The study, or every image of it, is outside the scope. `force` does not lift the two limits that
            protect the memory: on the number of images, and on series of slices.
    """
    violations = list(_study_violations(study, scope))
    by_image = {
        image.path: found
        for series in study.series
        for image in series.images
        if (found := tuple(_image_violations(image, series, study, scope)))
    }
    left_out: tuple[str, ...] = ()
    if len(by_image) == len(study.images):
        violations += [violation for found in by_image.values() for violation in found]
    elif by_image:
        reasons = "; ".join(dict.fromkeys(found[0].reason for found in by_image.values()))
        left_out = (f"{len(by_image)} of {len(study.images)} images left out: {reasons}",)
        study = _without(study, by_image.keys())
    if violations and not force:
        raise _scope_error(study, replace(violations[0], reason=violations[0].reason + FORCE_HINT))
    _check_size(study, scope)
    return ScopedStudy(study, (*_forced_notices(violations), *left_out))


def accepts_view(accepted: Collection[str], view: ViewPosition) -> bool:
    """Return whether a view is among the accepted ones, or any is. FRONTAL includes PA and AP, and may be either."""
    if not accepted:
        return True
    if view is ViewPosition.FRONTAL:
        return not {ViewPosition.PA, ViewPosition.AP, ViewPosition.FRONTAL}.isdisjoint(accepted)
    return view in accepted or (view.is_frontal and ViewPosition.FRONTAL in accepted)


def confirmed_images(study: Study, scope: ScopeConfig) -> frozenset[Path]:
    """Return the paths of the images whose header states a modality and a body part of the scope."""
    return frozenset(
        image.path
        for series in study.series
        for image in series.images
        if series.modality in scope.modalities and _stated_body_parts(series, study) & set(scope.body_parts)
    )


def named_body_parts(text: str) -> frozenset[str]:
    """Return the body parts of `body_parts.toml` that a text of a header names."""
    pattern, parts = _body_parts()
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    return frozenset(parts[match[0]] for match in pattern.finditer(" ".join(re.split(r"[^a-z]+", plain))))


def _check_size(study: Study, scope: ScopeConfig) -> None:
    """Refuse volumes, and more images than a model is given at once."""
    for series in study.series:
        if series.modality in SLICE_MODALITIES and len(series.images) > 1:
            reason = (
                f"a series of {len(series.images)} {series.modality} images; volumes are not supported, give one image"
            )
            raise _scope_error(study, _Violation("volume", reason))
    if len(study.images) > scope.max_images:
        reason = (
            f"{len(study.images)} images in one study, and the limit is {scope.max_images}; give fewer images, or each "
            "study in a folder of its own"
        )
        raise _scope_error(study, _Violation("image-count", reason))


def _study_violations(study: Study, scope: ScopeConfig) -> Iterator[_Violation]:
    species, age = study.patient_species, study.patient_age
    if scope.humans_only and species and not any(word in species.lower() for word in _HUMAN):
        yield _Violation("species", f"the species in the header is {species}, and the model was made for humans")
    if age is not None and scope.min_age is not None and age < scope.min_age:
        yield _Violation(
            "age", f"the patient is younger than {scope.min_age:g} years, and the model was made for older patients"
        )
    if age is not None and scope.max_age is not None and age > scope.max_age:
        yield _Violation(
            "age", f"the patient is older than {scope.max_age:g} years, and the model was made for younger patients"
        )


def _image_violations(image: Image, series: Series, study: Study, scope: ScopeConfig) -> Iterator[_Violation]:
    modality = series.modality
    if scope.modalities and modality and modality not in (*scope.modalities, *UNINFORMATIVE_MODALITIES):
        expected = ", ".join(scope.modalities)
        yield _Violation("modality", f"the modality is {modality}, and the model was made for {expected}")
    parts = _stated_body_parts(series, study)
    if scope.body_parts and parts and not parts & set(scope.body_parts):
        named, expected = ", ".join(sorted(parts)), ", ".join(scope.body_parts)
        yield _Violation("body-part", f"the header names {named}, and the model was made for {expected}")
    if not (image.view_position is ViewPosition.UNKNOWN or accepts_view(scope.views, image.view_position)):
        views = ", ".join(view for view in scope.views if view != ViewPosition.UNKNOWN)
        yield _Violation("view", f"the view is {image.view_position.label}, and the model was made for {views}")
    if image.quality_control:
        yield _Violation("quality-control", "a quality control image, which shows a phantom and no patient")
    if image.for_processing:
        yield _Violation("for-processing", "raw detector values (FOR PROCESSING), which are not meant to be read")


def _stated_body_parts(series: Series, study: Study) -> frozenset[str]:
    """Return the body parts by the most specific attribute that names any: of the image, the series or the study."""
    for texts in ((series.body_part, series.anatomic_region), series.descriptions, (study.description,)):
        parts = frozenset().union(*(named_body_parts(text) for text in texts if text))
        if parts:
            return parts
    return frozenset()


def _scope_error(study: Study, violation: _Violation) -> ScopeError:
    return ScopeError(study.path, violation.reason, violation.code)


def _forced_notices(violations: Sequence[_Violation]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"outside the scope of the model [{one.code}]: {one.reason}" for one in violations))


def _without(study: Study, excluded: Container[Path]) -> Study:
    remaining = (
        replace(series, images=tuple(image for image in series.images if image.path not in excluded))
        for series in study.series
    )
    return replace(study, series=tuple(series for series in remaining if series.images))


@cache
def _body_parts() -> tuple[re.Pattern[str], Mapping[str, str]]:
    """Return a pattern of all words, the longest first, and the body part of each word."""
    content = (files(__package__) / "vocabularies" / "body_parts.toml").read_text(encoding="utf-8")
    parts = {word: part for part, words in tomllib.loads(content).items() for word in words}
    words = "|".join(map(re.escape, sorted(parts, key=len, reverse=True)))
    return re.compile(rf"\b(?:{words})\b"), parts
