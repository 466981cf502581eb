"""Compare the findings of studies with those of their prior studies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from report_gen.config import STATES, ChangeConfig
from report_gen.drafting.finite_values import check_predictions
from report_gen.drafting.prepared_study import LoadedStudy, PreprocessedStudy, PriorInput
from report_gen.drafting.preprocessing import ImageBatch
from report_gen.labeling import label_findings
from report_gen.model import ReportModel, VisualFeatures, change_probabilities, decide_changes
from report_gen.records import ChangeState, Finding, FindingState, InputFile, PriorComparison, Report

JOINT_METHOD = "joint probability of the findings in both studies"
"""How composed changes are decided, for the provenance: see `model/finding_changes.py`."""
STATES_METHOD = "states of the findings in both studies; the model reads the images of both"
"""How generated changes are checked, for the provenance: a model with `sequence.priors` states them itself."""
_CERTAIN = (FindingState.PRESENT, FindingState.ABSENT)
_IN_BOTH = frozenset((ChangeState.UNCHANGED, ChangeState.IMPROVED, ChangeState.WORSENED))


@dataclass(frozen=True)
class StudyComparison:
    """The prior study of a draft, and the changes since then that the draft states."""

    prior: PriorInput
    changes: Mapping[str, ChangeState]
    """Changes for which a sentence is composed, by the name of the finding."""
    supported: Mapping[str, frozenset[ChangeState]]
    """Changes that a generated sentence may state, by the name of the finding."""
    before: Mapping[str, FindingState]
    """States of the findings in the prior study."""
    method: str = JOINT_METHOD
    """How the changes are decided."""

    def record(self) -> PriorComparison:
        """Return the record for the provenance."""
        study = self.prior.loaded.request.study
        return PriorComparison(
            study_instance_uid=study.study_instance_uid,
            inputs=tuple(InputFile(sha256=one.sha256, sop_instance_uid=one.sop_instance_uid) for one in study.images),
            days_earlier=self.prior.checked.days_earlier,
            with_report=self.prior.checked.prior.report is not None,
            method=self.method,
            changes=dict(self.changes),
            findings=dict(self.before),
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
    others. A model with `changes` in its configuration decides about the changes for which sentences are composed. A
    model that reads the images of the prior study (`sequence.priors`) may state a change itself if the states of the
    finding in both studies agree with it.

    Args:
        model: The model.
        batch: B studies.
        visual: Their visual features.
        findings: [B][F] as they condition the decoder.
        collate: Makes a batch of studies, see `StudyPreprocessor.collate`.

    Returns:
        The comparison of each study; None for a study without a prior study.

    Raises:
        StudyError: The predictions of a prior study are not finite.
        CheckpointError: The predictions of any study are not finite.
    """
    return [
        None if item.prior is None else _compare(model, item.prior, logits, row, collate)
        for item, logits, row in zip(batch, visual.finding_logits, findings, strict=True)
    ]


def _compare(
    model: ReportModel,
    prior: PriorInput,
    finding_logits: torch.Tensor,
    findings: Sequence[Finding],
    collate: Callable[[Sequence[LoadedStudy]], ImageBatch],
) -> StudyComparison:
    """Compare a study with its prior study.

    The prior study is encoded alone, so that rounding does not depend on the other studies of a batch.
    """
    prior_visual = model.encode_images(*collate([prior.loaded]))
    check_predictions(model, prior_visual, [prior.loaded.request.study])
    both = (prior_visual.finding_logits, finding_logits[None])
    before, now = (model.probabilities(logits.float()) for logits in both)  # each [1,F]
    labels = label_findings(_text(prior.checked.prior.report), model.config.finding_schema)
    reported = [labels[name] for name in model.config.finding_schema.findings]
    predicted = [STATES[index] for index in model.decide(before)[0].tolist()]
    states = {
        one.name: stated if stated in _CERTAIN else state
        for one, stated, state in zip(findings, reported, predicted, strict=True)
    }
    changes = {} if model.config.changes is None else _decide(model.config.changes, before, now, reported, findings)
    if model.config.sequence is None or not model.config.sequence.priors:
        return StudyComparison(prior, changes, {name: frozenset((change,)) for name, change in changes.items()}, states)
    supported = {one.name: _supported(states[one.name], one.state) for one in findings}
    return StudyComparison(prior, changes, supported, states, STATES_METHOD)


def _decide(
    config: ChangeConfig,
    before: torch.Tensor,
    now: torch.Tensor,
    reported: Sequence[FindingState],
    findings: Sequence[Finding],
) -> dict[str, ChangeState]:
    """Return the change of each finding for which the draft has a composed sentence.

    Args:
        config: Parameters of the changes.
        before: [1,F] probabilities in the prior study.
        now: [1,F] probabilities in the study.
        reported: [F] states in the report of the prior study.
        findings: [F] as they condition the decoder.
    """
    overridden = [one.state if one.overridden else FindingState.UNKNOWN for one in findings]
    probabilities = change_probabilities(
        before,
        now,
        config,
        known_prior=_indices(reported, before.device),
        known_present=_indices(overridden, before.device),
    )
    decided = decide_changes(probabilities[0], [one.state for one in findings], config.threshold)
    return {one.name: change for one, change in zip(findings, decided, strict=True) if change is not None}


def _supported(before: FindingState, now: FindingState) -> frozenset[ChangeState]:
    """Return the changes that agree with the states of a finding in the prior study and in the study."""
    present, absent = _CERTAIN
    changes = {
        (absent, present): frozenset((ChangeState.NEW,)),
        (present, present): _IN_BOTH,
        (present, absent): frozenset((ChangeState.RESOLVED,)),
    }
    return changes.get((before, now), frozenset())


def _indices(states: Sequence[FindingState], device: torch.device) -> torch.Tensor:
    return torch.tensor([[STATES.index(state) for state in states]], device=device)  # [1,F]


def _text(report: Report | None) -> str:
    return "" if report is None else "\n".join(section.text for section in report.describing_sections)
