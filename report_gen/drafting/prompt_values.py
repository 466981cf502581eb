"""What the prompt of a model says about a study and its prior study."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from report_gen.drafting.request import DraftRequest
from report_gen.prompting import LONGEST_READ, LONGEST_VALUE, PromptValues, clean_value, cut_at_word

VALUE_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "technique": "technique",
        "indication": "indication",
        "comparison": "comparison",
        "study_description": "study description",
        "admitting_diagnoses": "list of admitting diagnoses",
        "prior_report": "report of the prior study",
    }
)
"""Values of a prompt that may be shortened, each with its name in notices. The last ones are shortened first."""


def prompt_values(request: DraftRequest, views: str, comparison: str) -> PromptValues:
    """Return the values of a prompt. What the request states has precedence over the header of the study.

    Args:
        request: The study, its prior study and the texts of the reader.
        views: The views of the study, in words.
        comparison: Text of the section COMPARISON.
    """
    study, reports = request.study, [prior.report for prior in request.priors if prior.report is not None]
    return PromptValues(
        indication=request.indication or study.indication or "",
        views=views,
        technique=request.technique or "",
        study_description=study.description or "",
        admitting_diagnoses=study.admitting_diagnoses or "",
        comparison=comparison,
        prior_report=" ".join(section.text for report in reports for section in report.describing_sections),
    )


def shorten_values(
    values: PromptValues, placeholders: Collection[str], longest: int
) -> tuple[PromptValues, tuple[str, ...]]:
    """Return the values that a prompt has, cleaned and cut at a length, and which were shortened or left out.

    Args:
        values: The values. Those without a placeholder become empty.
        placeholders: Names of the values that the prompt has.
        longest: Largest number of characters of a value.
    """
    notices: list[str] = []
    used = dict.fromkeys(VALUE_LABELS, "")
    for name, label in VALUE_LABELS.items():
        if name in placeholders:
            given: str = getattr(values, name)
            used[name] = cut_at_word(clean_value(given, longest=longest), longest)
            notices += describe_shortening(label, given, used[name], longest=longest)
    return replace(values, **used), tuple(notices)


def describe_shortening(label: str, given: str, used: str, *, longest: int = LONGEST_VALUE) -> tuple[str, ...]:
    """Return a notice if a value of the prompt was shortened or left out.

    Args:
        label: Name of the value in the notice.
        given: The value as it was given.
        used: The value as the model gets it.
        longest: Largest number of characters of a value.
    """
    if not given.strip():
        return ()
    cleaned = clean_value(given, longest=longest)
    if len(used) < len(cleaned) or (used and len(given.rstrip()) > LONGEST_READ):
        return (f"the {label} is too long: the model got only its first {len(used)} characters",)
    return () if used else (f"the {label} was left out: no words that the model can use were found in it",)
