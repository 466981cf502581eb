"""Choose, by the headers of a study, which of several models were made for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from report_gen.config import ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging.scope import apply_scope
from report_gen.records import Study

_MODALITY = "modality"
"""Code of the refusal for the modality of a study."""
_LIMITS = frozenset({"volume", "image-count"})
"""Codes of refusals for the number of images, whose remedy is fewer images and not another model."""


class ModelScope(NamedTuple):
    """The studies that a model was made for."""

    scope: ScopeConfig
    volumes: bool = False
    """Whether the model takes slices and frames, of which some are chosen for it."""


def choose_models(
    study: Study, scopes: Mapping[str, ModelScope], *, force: bool = False, max_views: int | None = None
) -> tuple[str, ...]:
    """Return the names of the models whose scope contains a study, in their order.

    An image without a header is in every scope; the images decide then. If no scope contains the study and a draft is
    forced, the model is returned that was made for the modality of the study, or else the first one.

    Args:
        study: The study.
        scopes: Scope of each model by its name; at least one.
        force: Choose a model also for a study that would be refused.
        max_views: Largest number of images of a study. Default: that of the scope.

    Raises:
        ScopeError: No model was made for the study. The error says why, and what each of the models was made for.
    """
    refusals: dict[str, ScopeError] = {}
    for name, (scope, volumes) in scopes.items():
        try:
            apply_scope(study, scope, max_views=max_views, volumes=volumes)
        except ScopeError as error:
            refusals[name] = error
    if accepted := tuple(name for name in scopes if name not in refusals):
        return accepted
    closest = next((name for name, error in refusals.items() if error.code != _MODALITY), next(iter(scopes)))
    if force:
        scope, volumes = scopes[closest]
        apply_scope(study, scope, force=True, max_views=max_views, volumes=volumes)  # force does not lift every limit
        return (closest,)
    raise name_all_models(study.path, refusals[closest], scopes)


def name_all_models(path: Path, refusal: ScopeError, scopes: Mapping[str, ModelScope]) -> ScopeError:
    """Return the refusal of a study for which none of several models was made, with the scope of each of them.

    Args:
        path: The file or folder of the study.
        refusal: Refusal by one of the models.
        scopes: Scope of each model by its name. The refusal by the only model stays as it is.
    """
    if len(scopes) == 1 or refusal.code in _LIMITS:
        return refusal
    made_for = ", ".join(f"{name} ({'; '.join(_limits(model.scope))})" for name, model in scopes.items())
    return ScopeError(path, f"{refusal.found}; the embedded models are {made_for}", refusal.code, hint=refusal.hint)


def _limits(scope: ScopeConfig) -> Iterator[str]:
    """Yield what a model was made for, one phrase for each kind of limit."""
    for accepted in (scope.modalities, scope.body_parts, scope.views):
        if accepted:
            yield ", ".join(accepted)
    if scope.min_age is not None:
        yield f"at least {scope.min_age:g} years"
    if scope.max_age is not None:
        yield f"at most {scope.max_age:g} years"
