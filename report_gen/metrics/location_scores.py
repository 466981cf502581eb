"""Score where a model locates findings, against the boxes of a corpus: attention, side and zones of each finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics.auroc import MINIMUM_CLASS_SIZE
from report_gen.metrics.calibration import ALL_FINDINGS
from report_gen.metrics.localization import (
    SIDES,
    PlacedMap,
    Rectangle,
    covered_area,
    mass_inside,
    pointing_hit,
    side_agreement,
    zone_agreement,
)
from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.score import Score, scores_of
from report_gen.metrics.significance import Difference, compare
from report_gen.records import FindingLocation, Zone

Integers = NDArray[np.int64]

TOLERANCE = 0.03
"""Tolerance of `POINTING_NEAR`: 15 pixels of images with sides of about 500 pixels, as in Zhang et al. (ECCV 2016)."""
POINTING, POINTING_NEAR, MASS = "pointing game", f"pointing game within {TOLERANCE:.0%}", "attention in boxes"
SIDE, SIDE_STATED = "side correct when stated", "side stated"
ZONES, ZONES_STATED = "zone overlap when stated", "zones stated"
AREA, CENTER = "area of boxes", "pointing game of the class center"
"""Kinds of scores, which follow the name of a finding in the name of a score."""
ATTENTION_SCORES = (f"{ALL_FINDINGS} {POINTING}", f"{ALL_FINDINGS} {MASS}")
"""Names of the scores that show whether the attention follows the image."""
_COMPARED = (POINTING, MASS, SIDE, ZONES)
"""Kinds that are compared with control images."""


@dataclass(frozen=True, kw_only=True)
class BoxedFinding:
    """A finding with boxes in one image of a study."""

    study: str
    patient: str
    """Unit of the resampling: all pairs of a patient are drawn together."""
    finding: str
    boxes: tuple[Rectangle, ...]
    location: FindingLocation
    """Side and zones that the boxes imply."""


@dataclass(frozen=True, kw_only=True)
class LocatedFinding:
    """Where a model locates a finding in one image."""

    attention: PlacedMap
    location: FindingLocation
    """Side and zones that the model states; unknown parts are not stated."""


@dataclass(frozen=True, kw_only=True)
class LocationSupport:
    """Number of pairs of a study and a finding with boxes by which the scores of a finding are computed."""

    pairs: int
    sided: int
    """Pairs whose boxes are on the right, on the left or on both sides."""
    zoned: int
    """Pairs whose boxes imply zones."""
    center: int
    """Pairs whose finding has boxes in training studies, so that its class center is known."""


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """Scores of one pair of a study and a finding."""

    study: str
    finding: str
    pointing: float
    """1 for a hit, 0 for a miss, in between for equal maxima."""
    mass: float
    """Share of the attention in the boxes, 0..1."""
    side: str
    """Side of the boxes, a value of `Side`."""
    stated_side: str
    zones: tuple[str, ...]
    """Zones of the boxes, values of `Zone`."""
    stated_zones: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LocationRun:
    """Scores of the locations with the studies' own images."""

    scores: tuple[Score, ...]
    """Each kind of score of all findings, then of each finding; kinds without a case are missing."""
    support: Mapping[str, LocationSupport]
    """Of all findings and of each."""
    sides: Mapping[str, Mapping[str, int]]
    """Number of pairs by the side of the boxes and the side that the model states."""
    against_center: tuple[Difference, ...]
    """Pointing game minus that of the class center, for pairs with a class center; empty for few patients."""
    image_use: Mapping[str, tuple[Difference, ...]]
    """Scores minus those with control images, by the control's name; empty for few patients."""
    pairs: tuple[PairScores, ...]

    def find(self, finding: str, kind: str) -> Score | None:
        """Return the score of a finding, or of all findings; None if it has no case."""
        return next((score for score in self.scores if score.name == f"{finding} {kind}"), None)


def score_locations(
    boxed: Sequence[BoxedFinding],
    own: Sequence[LocatedFinding],
    controls: Mapping[str, Sequence[LocatedFinding]],
    centers: Mapping[str, PlacedMap],
    *,
    draws: int,
    seed: int,
) -> LocationRun | None:
    """Compute every score of the locations of P pairs of a study and a finding.

    Intervals and differences are over the patients and need five of them.

    Args:
        boxed: The P pairs, of findings that have boxes. A finding without boxes may be present and is not scored.
        own: What the model locates with the study's own image, for each pair.
        controls: The same with control images, by the control's name.
        centers: Map from the boxes of training studies by finding, see `mean_box_map`.
        draws: Bootstrap resamplings of the patients; 0 for no intervals.
        seed: Seed of the bootstrap.

    Returns:
        None without pairs.
    """
    if not boxed:
        return None
    names = np.array([pair.finding for pair in boxed])
    groups = {ALL_FINDINGS: np.ones(len(boxed), dtype=bool)} | {name: names == name for name in sorted(set(names))}
    patients = np.unique([pair.patient for pair in boxed], return_inverse=True)[1].astype(np.int64)
    values = _values(boxed, own) | {AREA: np.array([covered_area(pair.boxes) for pair in boxed])}
    values[CENTER] = np.array([_center_hit(pair, centers) for pair in boxed])
    scores: list[Score] = []
    for group, members in groups.items():
        for kind, column in values.items():
            scores += _score(f"{group} {kind}", np.where(members, column, np.nan), patients, draws, seed)
    others = {control: _values(boxed, located) for control, located in controls.items()}
    return LocationRun(
        scores=tuple(scores),
        support={
            group: LocationSupport(
                pairs=int(members.sum()),
                sided=int(np.isfinite(values[SIDE_STATED][members]).sum()),
                zoned=int(np.isfinite(values[ZONES_STATED][members]).sum()),
                center=int(np.isfinite(values[CENTER][members]).sum()),
            )
            for group, members in groups.items()
        },
        sides=_count_sides(boxed, own),
        against_center=_compare(ATTENTION_SCORES[0], values[CENTER], values[POINTING], patients, draws, seed),
        image_use={
            control: tuple(
                difference
                for kind in _COMPARED
                for difference in _compare(f"{ALL_FINDINGS} {kind}", columns[kind], values[kind], patients, draws, seed)
            )
            for control, columns in others.items()
        },
        pairs=tuple(
            PairScores(
                study=pair.study,
                finding=pair.finding,
                pointing=float(hit),
                mass=float(mass),
                side=pair.location.side.value,
                stated_side=located.location.side.value,
                zones=_zone_names(pair.location),
                stated_zones=_zone_names(located.location),
            )
            for pair, located, hit, mass in zip(boxed, own, values[POINTING], values[MASS], strict=True)
        ),
    )


def _values(boxed: Sequence[BoxedFinding], located: Sequence[LocatedFinding]) -> dict[str, Floats]:
    """Return the value [P] of each kind of score for each pair, NaN for a pair that is no case of the kind."""
    rows = []
    for pair, one in zip(boxed, located, strict=True):
        is_sided, is_zoned = pair.location.side in SIDES, bool(pair.location.zones)
        rows.append(
            {
                POINTING: pointing_hit(one.attention, pair.boxes),
                POINTING_NEAR: pointing_hit(one.attention, pair.boxes, tolerance=TOLERANCE),
                MASS: mass_inside(one.attention, pair.boxes),
                SIDE: side_agreement(one.location, pair.location),
                SIDE_STATED: float(one.location.side in SIDES) if is_sided else np.nan,
                ZONES: zone_agreement(one.location, pair.location),
                ZONES_STATED: float(bool(one.location.zones)) if is_zoned else np.nan,
            }
        )
    return {kind: np.array([row[kind] for row in rows]) for kind in rows[0]}


def _center_hit(pair: BoxedFinding, centers: Mapping[str, PlacedMap]) -> float:
    center = centers.get(pair.finding)
    return np.nan if center is None else pointing_hit(center, pair.boxes)


def _score(name: str, values: Floats, patients: Integers, draws: int, seed: int) -> tuple[Score, ...]:
    """Return the mean of the values [P] that are not NaN, with its interval over the patients; nothing without any."""
    cases = np.isfinite(values)
    if not cases.any():
        return ()
    measure = _measure(name, values[cases], patients[cases])
    few = len(measure.statistics) < MINIMUM_CLASS_SIZE
    return scores_of([measure], "location:boxes", draws=0 if few else draws, seed=seed)


def _compare(
    name: str, first: Floats, second: Floats, patients: Integers, draws: int, seed: int
) -> tuple[Difference, ...]:
    """Compare the means of two sets of values [P] over the pairs that are cases of both; nothing for few patients."""
    cases = np.isfinite(first) & np.isfinite(second)
    measures = [_measure(name, values[cases], patients[cases]) for values in (first, second)]
    if len(measures[0].statistics) < MINIMUM_CLASS_SIZE:
        return ()
    return compare(measures[:1], measures[1:], draws, seed)


def _measure(name: str, values: Floats, patients: Integers) -> Measure:
    """Return the mean over pairs [P] as a measure of the patients that have a pair."""
    units, index = np.unique(patients, return_inverse=True)
    statistics = np.zeros((len(units), 2))
    np.add.at(statistics, index, np.column_stack([values, np.ones(len(values))]))
    return Measure(names=(name,), statistics=statistics, finish=_mean, variant="pairs,unit:patient")


def _mean(sums: Floats) -> Floats:
    return ratio(sums[..., :1], sums[..., 1:])


def _zone_names(location: FindingLocation) -> tuple[str, ...]:
    return tuple(zone.value for zone in Zone if zone in location.zones)


def _count_sides(boxed: Sequence[BoxedFinding], located: Sequence[LocatedFinding]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for pair, one in zip(boxed, located, strict=True):
        counts.setdefault(pair.location.side.value, Counter())[one.location.side.value] += 1
    return {true: dict(stated) for true, stated in counts.items()}
