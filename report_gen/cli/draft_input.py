"""What `report-gen draft` reads and checks before it loads a model, which takes seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.errors import StudyError, UsageError
from report_gen.records import FindingLocation, FindingState, ViewPosition
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.config import ScopeConfig
    from report_gen.records import Study

_log = logging.getLogger(__name__)


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


def read_input(
    paths: Iterable[Path], view: ViewPosition | None, *, as_study: bool
) -> tuple[list[Study], list[StudyError]]:
    """Read every study at the paths; also return the errors of studies that cannot be read."""
    from report_gen.imaging import read_studies

    found = read_studies(*paths, as_study=as_study)
    for notice in found.notices:
        print_notice(notice)
    studies, refused = list(found.studies), list(found.refused)
    _log.info("studies read: %d, refused: %d", len(studies), len(refused))
    if view is not None:
        studies = [study.with_view(view) for study in studies]
    return studies, refused


def choose_checkpoints(checkpoint: Path | None) -> dict[str, Path]:
    """Return the folders of the models that may draft, by name: the one that the user chose, or the embedded ones.

    Raises:
        CheckpointError: There is no such checkpoint.
    """
    from report_gen.model import embedded_checkpoints, find_checkpoint

    return embedded_checkpoints() if checkpoint is None else {str(checkpoint): find_checkpoint(checkpoint)}


def read_scopes(checkpoints: Mapping[str, Path]) -> dict[str, ScopeConfig]:
    """Return the scope of each model by its name.

    Raises:
        CheckpointError: A checkpoint has no valid configuration.
    """
    from report_gen.model import read_config

    return {name: read_config(folder).scope for name, folder in checkpoints.items()}


def split_by_scope(
    studies: Iterable[Study], scopes: Mapping[str, ScopeConfig], *, force: bool, max_views: int | None
) -> tuple[list[Study], list[StudyError]]:
    """Return the studies that a model may draft by their headers, and the errors of the others.

    The drafter decides the same once more. It is decided here first because a model takes seconds to load.
    """
    from report_gen.imaging.scope_choice import choose_scopes

    kept: list[Study] = []
    refused: list[StudyError] = []
    for study in studies:
        try:
            choose_scopes(study, scopes, force=force, max_views=max_views)
        except StudyError as error:
            refused.append(error)
        else:
            kept.append(study)
    return kept, refused


def models_of(
    studies: Iterable[Study], scopes: Mapping[str, ScopeConfig], *, force: bool, max_views: int | None
) -> list[tuple[str, ...]]:
    """Return the names of the models that may draft each study that `split_by_scope` has kept."""
    from report_gen.imaging.scope_choice import choose_scopes

    return [choose_scopes(study, scopes, force=force, max_views=max_views) for study in studies]
