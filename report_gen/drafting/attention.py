"""Pass the attention of the findings of each study to a callback while the study is drafted."""

from __future__ import annotations

from collections.abc import Sequence

from report_gen.drafting.prepared_study import LoadedStudy
from report_gen.drafting.report_generator import OnAttention
from report_gen.explaining import finding_attention
from report_gen.model import ReportModel, VisualFeatures


def pass_attention(
    model: ReportModel, visual: VisualFeatures, studies: Sequence[LoadedStudy], on_attention: OnAttention
) -> None:
    """Call `on_attention` for each of B studies, unless it is None.

    Args:
        model: The model.
        visual: Visual features of the B studies.
        studies: The B studies.
        on_attention: Receives each study and its attention.
    """
    if on_attention is None:
        return
    images, placements = [one.images[0] for one in studies], [one.placements[0] for one in studies]
    for study, attention in zip(studies, finding_attention(model, visual, images, placements), strict=True):
        on_attention(study.request.study, attention)
