"""The 14 CheXpert findings read from free text."""

from __future__ import annotations

from report_gen.report import FINDINGS, FindingState

__all__ = ["FINDINGS", "FindingState"]
