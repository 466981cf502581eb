"""The models among which `report-gen draft` chooses by their scopes, before it loads one, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from report_gen.errors import ScopeError, StudyError, UsageError
from report_gen.records import FindingLocation, FindingState

if TYPE_CHECKING:
    from report_gen.drafting import ModelSource
    from report_gen.imaging.scope_choice import ModelScope
    from report_gen.records import Study


def choose_sources(checkpoint: str | None) -> dict[str, ModelSource]:
    """Return the models that may draft, by name: the one that the user chose, or the embedded ones.

    Raises:
        CheckpointError: There is no model of this name.
        UsageError: The description of the model has a fault.
    """
    from report_gen.drafting import embedded_sources, find_source

    return embedded_sources() if checkpoint is None else {checkpoint: find_source(checkpoint)}


def check_model_options(
    overrides: Mapping[str, FindingState],
    locations: Mapping[str, FindingLocation],
    attributes: Mapping[str, str],
    sources: Mapping[str, ModelSource],
) -> dict[str, ModelSource]:
    """Return the models that know what the user overrides.

    Args:
        sources: The models that may draft, by name.

    Raises:
        UsageError: No model knows the findings, locations, attributes and values. The error is that of the first one.
        CheckpointError: There are overrides, and a checkpoint has no valid configuration.
    """
    if not (overrides or locations or attributes):
        return dict(sources)
    known: dict[str, ModelSource] = {}
    faults: list[UsageError] = []
    for name, source in sources.items():
        try:
            source.check_overrides(overrides, locations, attributes)
        except UsageError as error:
            faults.append(error)
        else:
            known[name] = source
    if not known:
        raise faults[0]
    return known


def read_scopes(sources: Mapping[str, ModelSource]) -> dict[str, ModelScope]:
    """Return the scope of each model by its name.

    Raises:
        CheckpointError: A checkpoint has no valid configuration.
    """
    return {name: source.scope() for name, source in sources.items()}


def choose_models_of(
    studies: Iterable[Study],
    scopes: Mapping[str, ModelScope],
    *,
    force: bool,
    max_views: int | None,
    checkpoint: str | None = None,
) -> tuple[dict[Study, tuple[str, ...]], list[StudyError]]:
    """Return the models that may draft each study by its headers, and the errors of the studies that none may draft.

    The drafter decides the same once more. It is decided here first because a model takes seconds to load.

    Args:
        studies: The studies.
        scopes: Scope of each model by its name.
        force: Draft studies outside the scopes as well.
        max_views: Largest number of images of a study.
        checkpoint: The model that the user chose. The refusal of a study names an embedded model that was made for it.
    """
    from report_gen.imaging.scope_choice import choose_models

    models: dict[Study, tuple[str, ...]] = {}
    refused: list[StudyError] = []
    for study in studies:
        try:
            models[study] = choose_models(study, scopes, force=force, max_views=max_views)
        except ScopeError as error:
            refused.append(error if checkpoint is None else _with_embedded_model(study, error, max_views))
        except StudyError as error:
            refused.append(error)
    return models, refused


def _with_embedded_model(study: Study, error: ScopeError, max_views: int | None) -> ScopeError:
    """Return the refusal of a study by the model that the user chose, with an embedded model that was made for it."""
    from report_gen.drafting import embedded_sources
    from report_gen.imaging.scope_choice import choose_models

    try:
        name = choose_models(study, read_scopes(embedded_sources()), max_views=max_views)[0]
    except StudyError:
        return error
    path, found, code, made_for, hint = error.args
    return ScopeError(path, found, code, made_for, f"; leave --checkpoint out, or name {name}{hint}")
