"""Draft many studies: in this process, in worker processes, or on the nodes of a Ray cluster.

Modules are imported at their first use: the process that gives work to others needs no torch, and Ray is optional.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.batch.engines import draft_here, draft_in_processes
    from report_gen.batch.ray_engine import RAY_STATE, RayResult, draft_on_ray
    from report_gen.batch.records import BatchSettings, DraftedStudy, StudyTask, digest_sources
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "engines": ("draft_here", "draft_in_processes"),
            "ray_engine": ("RAY_STATE", "RayResult", "draft_on_ray"),
            "records": ("BatchSettings", "DraftedStudy", "StudyTask", "digest_sources"),
        },
    )

__all__ = [
    "RAY_STATE",
    "BatchSettings",
    "DraftedStudy",
    "RayResult",
    "StudyTask",
    "digest_sources",
    "draft_here",
    "draft_in_processes",
    "draft_on_ray",
]
