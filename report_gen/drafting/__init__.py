"""Draft the reports of studies with a trained model.

Modules are imported at their first use, because overrides and limits are checked without torch.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.drafting.chat_generator import ChatGenerator
    from report_gen.drafting.chat_preparation import ChatStudy
    from report_gen.drafting.conditioning_inputs import check_overrides, resolve_states
    from report_gen.drafting.drafter import Drafter
    from report_gen.drafting.drafter_set import Drafted, DrafterSet
    from report_gen.drafting.limits import NO_LIMITS, StudyLimits
    from report_gen.drafting.model_source import (
        CheckpointSource,
        DescribedSource,
        ModelSource,
        embedded_sources,
        find_source,
    )
    from report_gen.drafting.prepared_study import LoadedStudy
    from report_gen.drafting.preprocessing import StudyPreprocessor
    from report_gen.drafting.prior_studies import PriorStudy, find_priors, unordered_pairs
    from report_gen.drafting.request import DraftRequest
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "chat_generator": ("ChatGenerator",),
            "chat_preparation": ("ChatStudy",),
            "conditioning_inputs": ("check_overrides", "resolve_states"),
            "drafter": ("Drafter",),
            "drafter_set": ("Drafted", "DrafterSet"),
            "limits": ("NO_LIMITS", "StudyLimits"),
            "model_source": ("CheckpointSource", "DescribedSource", "ModelSource", "embedded_sources", "find_source"),
            "prepared_study": ("LoadedStudy",),
            "preprocessing": ("StudyPreprocessor",),
            "prior_studies": ("PriorStudy", "find_priors", "unordered_pairs"),
            "request": ("DraftRequest",),
        },
    )

__all__ = [
    "NO_LIMITS",
    "ChatGenerator",
    "ChatStudy",
    "CheckpointSource",
    "DescribedSource",
    "DraftRequest",
    "Drafted",
    "Drafter",
    "DrafterSet",
    "LoadedStudy",
    "ModelSource",
    "PriorStudy",
    "StudyLimits",
    "StudyPreprocessor",
    "check_overrides",
    "embedded_sources",
    "find_priors",
    "find_source",
    "resolve_states",
    "unordered_pairs",
]
