"""Draft the reports of studies with a trained model."""

from report_gen.drafting.conditioning_inputs import resolve_states
from report_gen.drafting.drafter import EMBEDDED, Drafter
from report_gen.drafting.preprocessing import PreprocessedStudy, StudyPreprocessor
from report_gen.drafting.request import DraftRequest

__all__ = ["EMBEDDED", "DraftRequest", "Drafter", "PreprocessedStudy", "StudyPreprocessor", "resolve_states"]
