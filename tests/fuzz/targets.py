"""The targets by name."""

from __future__ import annotations

from tests.fuzz import corpus_targets, document_targets, image_targets, report_targets, setting_targets, volume_targets
from tests.fuzz.example import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for targets in (
        image_targets,
        volume_targets,
        corpus_targets,
        setting_targets,
        report_targets,
        document_targets,
    )
    for target in targets.TARGETS
}
