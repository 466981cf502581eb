"""Compose the content of the page of a draft: the texts and images that the template places."""

from __future__ import annotations

from typing import Any

from report_gen.outputs.document import DraftDocument
from report_gen.outputs.page_facts import patient_identity, study_facts
from report_gen.outputs.page_figures import page_figures
from report_gen.outputs.page_findings import finding_content
from report_gen.outputs.page_sentences import sentence_content
from report_gen.outputs.provenance_lines import provenance_lines


def page_content(draft: DraftDocument) -> dict[str, Any]:
    """Return the values of the template by their names in it.

    Args:
        draft: Draft.

    Raises:
        StudyError: An image of the study cannot be read any more.
    """
    report, figures = draft.report, page_figures(draft)
    return {
        "identity": patient_identity(draft),
        "study": list(study_facts(draft)),
        "forced": report.forced_notices,
        "notices": report.other_notices,
        "figures": figures.first,
        "further": figures.further,
        "images_note": figures.note,
        **sentence_content(report),
        **finding_content(report),
        "origin": list(provenance_lines(report)),
    }
