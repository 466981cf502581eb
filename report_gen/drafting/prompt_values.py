"""What the prompt of a model says about a study and its prior study."""

from __future__ import annotations

from report_gen.drafting.request import DraftRequest
from report_gen.prompting import PromptValues


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
