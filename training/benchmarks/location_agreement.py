"""Count how often the locations that the labeler reads agree with coded ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from report_gen.records import FindingLocation, Side, Zone

from .labeler_codings import CodedReport

SIDES = (Side.RIGHT, Side.LEFT, Side.BOTH)


def count_locations(
    reports: Iterable[CodedReport], located: Iterable[Mapping[str, FindingLocation]]
) -> dict[str, Counter[tuple[bool, bool]]]:
    """Count how often label and code of each side and zone agree.

    Only findings are counted that the report's code and its text name both.

    Args:
        reports: Reports with coded locations.
        located: The locations that the labeler reads from each report.

    Returns:
        By the name of a side or a zone: number of findings by (labeled, coded).
    """
    counts: dict[str, Counter[tuple[bool, bool]]] = {part.value: Counter() for part in (*SIDES, *Zone)}
    for coded, labeled in _pairs(reports, located):
        for side in SIDES:
            counts[side.value][labeled.side is side, coded.side is side] += 1
        for zone in Zone:
            counts[zone.value][zone in labeled.zones, zone in coded.zones] += 1
    return counts


def _pairs(
    reports: Iterable[CodedReport], located: Iterable[Mapping[str, FindingLocation]]
) -> Iterator[tuple[FindingLocation, FindingLocation]]:
    for report, labels in zip(reports, located, strict=True):
        for finding, location in report.located.items():
            if finding in labels:
                yield location, labels[finding]
