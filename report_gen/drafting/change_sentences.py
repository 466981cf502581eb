"""Sentences about an earlier study, which are composed and not generated.

The decoder was trained on texts from which comparisons were removed. Therefore a draft states a change in a sentence of
its own. The words are those of training reports. "Again seen" claims no more than that both studies show the finding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from report_gen.config import ScopeConfig
from report_gen.imaging import header_body_parts
from report_gen.labeling import value_of_term
from report_gen.prompting import describe_prior
from report_gen.records import ChangeState, Section, SectionName, Sentence, Study

_SENTENCES: Mapping[ChangeState, str] = MappingProxyType(
    {
        ChangeState.NEW: "The {finding} is new since the prior study.",
        ChangeState.UNCHANGED: "The {finding} is again seen.",
        ChangeState.IMPROVED: "The {finding} has improved.",
        ChangeState.WORSENED: "The {finding} has worsened.",
        ChangeState.RESOLVED: "The previously present {finding} has resolved.",
    }
)

_NOUNS: Mapping[str, str] = MappingProxyType(
    {
        "Enlarged Cardiomediastinum": "widening of the mediastinum",
        "Edema": "pulmonary edema",
        "Pleural Other": "pleural thickening",
        "Fracture": "rib fracture",
        "Support Devices": "support device",
        "Hernia": "hiatal hernia",
    }
)
"""Findings of the schema `chest_xray` whose names are not the words of a report."""


def change_sentence(finding: str, change: ChangeState) -> str:
    """Return a sentence that states the change of a finding.

    Args:
        finding: Name of the finding in its schema.
        change: Its change since the earlier study.
    """
    return _SENTENCES[change].format(finding=_NOUNS.get(finding, finding.lower()))


def add_changes(sections: Sequence[Section], changes: Mapping[str, ChangeState]) -> tuple[Section, ...]:
    """Return the sections of a report with a sentence for each change at the end of the findings.

    Args:
        sections: Sections of a draft.
        changes: Change of each finding, by name.
    """
    if not changes:
        return tuple(sections)
    added = tuple(Sentence(change_sentence(finding, change)) for finding, change in changes.items())
    before = next((one.sentences for one in sections if one.name is SectionName.FINDINGS), ())
    others = [one for one in sections if one.name is not SectionName.FINDINGS]
    return (Section(SectionName.FINDINGS, (*before, *added)), *others)


def describe_prior_study(prior: Study, days_earlier: int | None, scope: ScopeConfig) -> str:
    """Return what the section COMPARISON says about an earlier study, such as "Chest radiograph, 12 days earlier.".

    Args:
        prior: The earlier study.
        days_earlier: Calendar days; None if they are not known.
        scope: Scope of the model, which the study has if its header states neither modality nor body part.
    """
    stated = [one.modality for one in prior.series if one.modality] or scope.modalities
    kinds = {value_of_term("modality", modality) for modality in stated}
    parts = frozenset().union(*(header_body_parts(one).stated for one in prior.series)) or frozenset(scope.body_parts)
    return describe_prior(kinds, parts, days_earlier)
