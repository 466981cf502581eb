"""Choose, by the headers of a study, which of several models were made for it."""

from __future__ import annotations

from collections.abc import Mapping

from report_gen.config import ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging.scope import FORCE_HINT, apply_scope
from report_gen.records import Study

_MODALITY = "modality"
"""Code of the refusal for the modality of a study."""


def choose_scopes(
    study: Study, scopes: Mapping[str, ScopeConfig], *, force: bool = False, max_views: int | None = None
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
        ScopeError: No model was made for the study. If a model was made for its modality, the error says why the study
            is outside its scope.
    """
    refusals: dict[str, ScopeError] = {}
    for name, scope in scopes.items():
        try:
            apply_scope(study, scope, max_views=max_views)
        except ScopeError as error:
            refusals[name] = error
    if accepted := tuple(name for name in scopes if name not in refusals):
        return accepted
    of_modality = [name for name, error in refusals.items() if error.code != _MODALITY]
    closest = (of_modality or list(scopes))[0]
    if force:
        apply_scope(study, scopes[closest], force=True, max_views=max_views)  # force does not lift every limit
        return (closest,)
    if of_modality or len(scopes) == 1:
        raise refusals[closest]
    raise ScopeError(study.path, _describe_modalities(refusals[closest], scopes), _MODALITY)


def _describe_modalities(refusal: ScopeError, scopes: Mapping[str, ScopeConfig]) -> str:
    """Return the reason of a refusal for the modality, with the modalities of all models."""
    _, reason, _ = refusal.args
    found = str(reason).partition(", and the model was made for ")[0]
    made_for = " or ".join(f"{', '.join(scope.modalities)} ({name})" for name, scope in scopes.items())
    return f"{found}, and the embedded models were made for {made_for}{FORCE_HINT}"
