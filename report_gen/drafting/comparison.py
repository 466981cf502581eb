"""Compare the findings of studies with those of their prior studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from report_gen.config import STATES
from report_gen.drafting.prepared_study import LoadedStudy, PreprocessedStudy, PriorInput
from report_gen.drafting.preprocessing import ImageBatch
from report_gen.errors import CheckpointError
from report_gen.labeling import label_findings
from report_gen.model import ReportModel, VisualFeatures, change_probabilities, decide_changes
from report_gen.records import ChangeState, Finding, FindingState, InputFile, PriorComparison, Report

METHOD = "joint probability of the findings in both studies"
"""How changes are decided, for the provenance: see `model/finding_changes.py`."""


@dataclass(frozen=True)
class StudyComparison:
    """The prior study of a draft, and the changes since then that the draft states."""

    prior: PriorInput
    changes: Mapping[str, ChangeState]
    """By the name of the finding."""

    def record(self) -> PriorComparison:
        """Return the record for the provenance."""
        study = self.prior.loaded.request.study
        return PriorComparison(
            study_instance_uid=study.study_instance_uid,
            inputs=tuple(InputFile(sha256=one.sha256, sop_instance_uid=one.sop_instance_uid) for one in study.images),
            days_earlier=self.prior.checked.days_earlier,
            with_report=self.prior.checked.prior.report is not None,
            method=METHOD,
            changes=dict(self.changes),
        )


def compare_studies(
    model: ReportModel,
    batch: Sequence[PreprocessedStudy],
    visual: VisualFeatures,
    findings: Sequence[Sequence[Finding]],
    collate: Callable[[Sequence[LoadedStudy]], ImageBatch],
) -> list[StudyComparison | None]:
    """Decide how the findings of B studies have changed since their prior studies.

    States that the reader has set, and states in the report of the prior study, are known; the images decide about the
    others.

    Args:
        model: The model. Without `changes` in its configuration no change is stated.
        batch: B studies.
        visual: Their visual features.
        findings: [B][F] as they condition the decoder.
        collate: Makes a batch of studies, see `StudyPreprocessor.collate`.

    Returns:
        The comparison of each study; None for a study without a prior study.

    Raises:
        CheckpointError: The model gives values that are not finite.
    """
    return [
        None if item.prior is None else StudyComparison(item.prior, _changes(model, item.prior, logits, row, collate))
        for item, logits, row in zip(batch, visual.finding_logits, findings, strict=True)
    ]


def _changes(
    model: ReportModel,
    prior: PriorInput,
    finding_logits: torch.Tensor,
    findings: Sequence[Finding],
    collate: Callable[[Sequence[LoadedStudy]], ImageBatch],
) -> dict[str, ChangeState]:
    """Return the change of each finding about which the draft states one.

    The prior study is encoded alone, so that rounding does not depend on the other studies of a batch.
    """
    schema, config = model.config.finding_schema, model.config.changes
    if config is None:
        return {}
    prior_logits = model.encode_images(*collate([prior.loaded])).finding_logits  # [1,F]
    if not prior_logits.isfinite().all():
        raise CheckpointError(
            f"the finding head of model {model.config.name!r} gives values that are not finite; use another checkpoint"
        )
    before, now = (model.probabilities(one.float()) for one in (prior_logits, finding_logits[None]))  # each [1,F]
    overridden = [one.state if one.overridden else FindingState.UNKNOWN for one in findings]
    reported = label_findings(_text(prior.checked.prior.report), schema)
    probabilities = change_probabilities(
        before,
        now,
        config,
        known_prior=_indices([reported[name] for name in schema.findings], before.device),
        known_present=_indices(overridden, before.device),
    )
    decided = decide_changes(probabilities[0], [one.state for one in findings], config.threshold)
    return {one.name: change for one, change in zip(findings, decided, strict=True) if change is not None}


def _indices(states: Sequence[FindingState], device: torch.device) -> torch.Tensor:
    return torch.tensor([[STATES.index(state) for state in states]], device=device)  # [1,F]


def _text(report: Report | None) -> str:
    return "" if report is None else "\n".join(section.text for section in report.describing_sections)
