"""Draft the reports of studies with a trained model."""

from report_gen.drafting.conditioning_inputs import resolve_states
from report_gen.drafting.drafter import Drafter
from report_gen.drafting.limits import StudyLimits
from report_gen.drafting.preprocessing import LoadedStudy, StudyPreprocessor
from report_gen.drafting.request import DraftRequest

__all__ = ["DraftRequest", "Drafter", "LoadedStudy", "StudyLimits", "StudyPreprocessor", "resolve_states"]
