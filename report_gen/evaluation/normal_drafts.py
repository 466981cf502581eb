"""Count how many normal and how many abnormal studies get a normal draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest

from report_gen.labeling import label_findings
from report_gen.metrics import States
from report_gen.records import FindingSchema, FindingState


@dataclass(frozen=True, kw_only=True)
class DraftShare:
    """Normal drafts among studies of one kind."""

    studies: int
    normal_drafts: int

    @property
    def share(self) -> float:
        """Share of the studies with a normal draft, 0..1."""
        return self.normal_drafts / self.studies

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the share by the method of Wilson."""
        found = binomtest(self.normal_drafts, self.studies).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True, kw_only=True)
class NormalDrafts:
    """Normal drafts among the studies that the corpus labels as normal, and among those that it labels as abnormal."""

    normal: DraftShare
    abnormal: DraftShare


def count_normal_drafts(labels: Sequence[States], drafts: Sequence[str], schema: FindingSchema) -> NormalDrafts | None:
    """Count normal drafts by the label of "no finding"; None without normal or without abnormal studies.

    A draft is normal if it states no abnormality of the schema as present or uncertain. Support devices are none.

    Args:
        labels: Labels of the studies; unknown ones are left out.
        drafts: Texts of the drafts in the same order.
        schema: The findings.
    """
    if not schema.normal:
        return None
    pairs = list(zip((label.get(schema.normal) for label in labels), drafts, strict=True))
    shares = [
        [_is_normal(draft, schema) for label, draft in pairs if label is state]
        for state in (FindingState.PRESENT, FindingState.ABSENT)
    ]
    if not all(shares):
        return None
    normal, abnormal = (DraftShare(studies=len(one), normal_drafts=sum(one)) for one in shares)
    return NormalDrafts(normal=normal, abnormal=abnormal)


def normal_share(drafts: Sequence[str], schema: FindingSchema) -> float | None:
    """Return the share of normal drafts among all studies, 0..1; None for a schema without abnormalities."""
    if not schema.abnormalities:
        return None
    return sum(_is_normal(draft, schema) for draft in drafts) / len(drafts)


def _is_normal(draft: str, schema: FindingSchema) -> bool:
    if not draft.strip():
        return False
    states = label_findings(draft, schema)
    return not any(states[name].is_stated for name in schema.abnormalities)
