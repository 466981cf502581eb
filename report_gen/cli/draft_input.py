"""The studies that `report-gen draft` reads before it loads a model, which takes seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from report_gen.errors import StudyError
from report_gen.records import ViewPosition
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.imaging import Shard, UnpackedArchives
    from report_gen.records import Study

_log = logging.getLogger(__name__)


@contextmanager
def unpacked(paths: Iterable[Path]) -> Iterator[UnpackedArchives]:
    """Unpack the ZIP archives among paths; see `open_archives`."""
    from report_gen.imaging import open_archives

    with open_archives(paths) as archives:
        yield archives


def read_input(
    archives: UnpackedArchives,
    view: ViewPosition | None,
    *,
    as_study: bool,
    shard: Shard | None = None,
    attributes: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[Study], list[StudyError]]:
    """Read every study at the paths, or those of a shard; also return the errors of studies that cannot be read.

    Args:
        archives: The paths.
        view: View of images whose files do not specify one.
        as_study: Whether the pictures of each folder are one study.
        shard: Part of the studies to read.
        attributes: What the user states of the images, see `Study.with_attributes`.
    """
    from report_gen.imaging import read_studies

    found = read_studies(*archives.paths, as_study=as_study, shard=shard)
    for notice in found.notices:
        print_notice(archives.restore_names(notice))
    studies, refused = list(found.studies), [*archives.refused, *found.refused]
    _log.info("studies read: %d, refused: %d", len(studies), len(refused))
    if view is not None:
        studies = [study.with_view(view) for study in studies]
    return [study.with_attributes(attributes) for study in studies], refused
