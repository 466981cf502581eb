"""The targets by name."""

from __future__ import annotations

from tests.fuzz import corpus_targets, image_targets, setting_targets
from tests.fuzz.example import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*image_targets.TARGETS, *corpus_targets.TARGETS, *setting_targets.TARGETS)
}
