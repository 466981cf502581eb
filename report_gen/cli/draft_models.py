"""The models among which `report-gen draft` chooses by their scopes, before it loads one, which takes seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.errors import StudyError, UsageError
from report_gen.records import FindingLocation, FindingState

if TYPE_CHECKING:
    from report_gen.imaging.scope_choice import ModelScope
    from report_gen.records import Study


def choose_checkpoints(checkpoint: Path | None) -> dict[str, Path]:
    """Return the checkpoints that may draft, by name: the one that the user chose, or the embedded ones."""
    from report_gen.model import embedded_checkpoints

    return embedded_checkpoints() if checkpoint is None else {str(checkpoint): checkpoint}


def check_model_options(
    overrides: Mapping[str, FindingState],
    locations: Mapping[str, FindingLocation],
    attributes: Mapping[str, str],
    checkpoints: Mapping[str, Path],
) -> dict[str, Path]:
    """Return the checkpoints whose model knows what the user overrides.

    Args:
        checkpoints: Folders of the models that may draft, by name.

    Raises:
        UsageError: No model knows the findings, locations, attributes and values. The error is that of the first one.
        CheckpointError: There are overrides, and a checkpoint has no valid configuration.
    """
    if not (overrides or locations or attributes):
        return dict(checkpoints)
    from report_gen.drafting import check_overrides
    from report_gen.model import read_config

    known: dict[str, Path] = {}
    faults: list[UsageError] = []
    for name, folder in checkpoints.items():
        try:
            check_overrides(overrides, locations, attributes, read_config(folder))
        except UsageError as error:
            faults.append(error)
        else:
            known[name] = folder
    if not known:
        raise faults[0]
    return known


def read_scopes(checkpoints: Mapping[str, Path]) -> dict[str, ModelScope]:
    """Return the scope of each model by its name.

    Raises:
        CheckpointError: A checkpoint has no valid configuration.
    """
    from report_gen.imaging.scope_choice import ModelScope
    from report_gen.model import read_config

    configs = {name: read_config(folder) for name, folder in checkpoints.items()}
    return {name: ModelScope(config.scope, config.volumes is not None) for name, config in configs.items()}


def choose_models_of(
    studies: Iterable[Study], scopes: Mapping[str, ModelScope], *, force: bool, max_views: int | None
) -> tuple[dict[Study, tuple[str, ...]], list[StudyError]]:
    """Return the models that may draft each study by its headers, and the errors of the studies that none may draft.

    The drafter decides the same once more. It is decided here first because a model takes seconds to load.
    """
    from report_gen.imaging.scope_choice import choose_models

    models: dict[Study, tuple[str, ...]] = {}
    refused: list[StudyError] = []
    for study in studies:
        try:
            models[study] = choose_models(study, scopes, force=force, max_views=max_views)
        except StudyError as error:
            refused.append(error)
    return models, refused
