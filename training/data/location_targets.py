"""Compute the targets of the location head from the boxes of a study, and from its report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from report_gen.corpora import location_of_boxes
from report_gen.labeling import finding_labeler
from report_gen.records import (
    LOCATION_PARTS,
    FindingSchema,
    Side,
    location_from_parts,
    location_to_parts,
)

from .corpus_study import CorpusStudy

_IS_SIDE = np.array([isinstance(part, Side) for part in LOCATION_PARTS])


def unknown_location(schema: FindingSchema) -> NDArray[np.float32]:
    """Return the targets [F,P] of a study whose findings have no known location: NaN."""
    return np.full((len(schema.findings), len(LOCATION_PARTS)), np.nan, dtype=np.float32)


def location_targets(study: CorpusStudy, reported: NDArray[np.bool_], schema: FindingSchema) -> NDArray[np.float32]:
    """Return the targets [F,P] of the location head: 1 or 0, NaN where the location is not known.

    Boxes in frontal images take precedence; a report completes what they leave unknown. A study without images has no
    targets.

    Args:
        study: A study of a corpus.
        reported: [F,P] parts of the locations that the report of the study states.
        schema: The F findings of the model.
    """
    targets = unknown_location(schema)
    if not study.images:
        return targets
    unlocated = finding_labeler(schema).vocabulary.unlocated
    for row, finding in enumerate(schema.findings):
        boxes = [box for box in study.boxes if box.finding == finding and study.views[box.image].may_be_frontal]
        location = location_of_boxes(boxes, paired=finding not in unlocated)
        location = location.or_else(location_from_parts(reported[row].tolist()))
        known = np.where(_IS_SIDE, bool(location.sides), bool(location.zones))
        targets[row, known] = np.array(location_to_parts(location))[known]
    return targets
