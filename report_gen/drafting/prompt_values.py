"""What the prompt of a model says about a study and its prior study."""

from __future__ import annotations

from report_gen.drafting.prior_studies import latest_prior
from report_gen.drafting.request import DraftRequest
from report_gen.prompting import PromptValues


def prompt_values(request: DraftRequest, views: str, comparison: str) -> PromptValues:
    """Return the values of a prompt. What the request states has precedence over the header of the study.

    Args:
        request: The study, its prior studies and the texts of the reader.
        views: The views of the study, in words.
        comparison: Text of the section COMPARISON.
    """
    study, prior = request.study, latest_prior(request.study, request.priors)
    sections = () if prior is None or prior.report is None else prior.report.describing_sections
    return PromptValues(
        indication=request.indication or study.indication or "",
        views=views,
        technique=request.technique or "",
        study_description=study.description or "",
        admitting_diagnoses=study.admitting_diagnoses or "",
        comparison=comparison,
        prior_report=" ".join(section.text for section in sections),
    )
