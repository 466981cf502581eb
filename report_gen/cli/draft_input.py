"""What `report-gen draft` reads and checks before it loads a model, which takes seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report_gen.errors import StudyError
from report_gen.records import FindingLocation, FindingState, ViewPosition
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.drafting import DraftRequest
    from report_gen.imaging import UnpackedArchives
    from report_gen.records import Study

_log = logging.getLogger(__name__)


def check_model_options(
    overrides: Mapping[str, FindingState],
    locations: Mapping[str, FindingLocation],
    attributes: Mapping[str, str],
    checkpoint: Path | None,
) -> None:
    """Check the overrides of the user against the configuration of a checkpoint.

    Raises:
        UsageError: The model does not know a finding, a location, an attribute or a value.
        CheckpointError: There are overrides, and the checkpoint has no valid configuration.
    """
    if overrides or locations or attributes:
        from report_gen.drafting import check_overrides
        from report_gen.model import read_config

        check_overrides(overrides, locations, attributes, read_config(checkpoint))


@contextmanager
def unpacked(paths: Iterable[Path]) -> Iterator[UnpackedArchives]:
    """Unpack the ZIP archives among paths; see `open_archives`."""
    from report_gen.imaging import open_archives

    with open_archives(paths) as archives:
        yield archives


def read_input(
    archives: UnpackedArchives, view: ViewPosition | None, *, as_study: bool
) -> tuple[list[Study], list[StudyError]]:
    """Read every study at the paths; also return the errors of studies that cannot be read."""
    from report_gen.imaging import read_studies

    found = read_studies(*archives.paths, as_study=as_study)
    for notice in found.notices:
        print_notice(archives.restore_names(notice))
    studies, refused = list(found.studies), [*archives.refused, *found.refused]
    _log.info("studies read: %d, refused: %d", len(studies), len(refused))
    if view is not None:
        studies = [study.with_view(view) for study in studies]
    return studies, refused


def split_by_scope(
    studies: Iterable[Study], checkpoint: Path | None, *, force: bool, max_views: int | None
) -> tuple[list[Study], list[StudyError]]:
    """Return the studies that the model may draft by their headers, and the errors of the others.

    The drafter decides the same once more. It is decided here first because a model takes seconds to load.
    """
    from report_gen.imaging.scope import apply_scope
    from report_gen.model import read_config

    config = read_config(checkpoint)
    kept: list[Study] = []
    refused: list[StudyError] = []
    for study in studies:
        try:
            apply_scope(study, config.scope, force=force, max_views=max_views, volumes=config.volumes is not None)
        except StudyError as error:
            refused.append(error)
        else:
            kept.append(study)
    return kept, refused


def make_request(study: Study, **values: Any) -> DraftRequest:
    """Return the request for a study with these values of `DraftRequest`."""
    from report_gen.drafting import DraftRequest

    return DraftRequest(study, **values)
