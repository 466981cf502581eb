"""Texts of the DICOM structured reports of drafts that `report_gen.reading` looks for. It loads no library."""

from __future__ import annotations

from report_gen.outputs.draft_terms import LOCATION_SET, STATE_SET
from report_gen.records import PROGRAM

MANUFACTURER = PROGRAM
"""Manufacturer (0008,0070) of every DICOM object of a draft."""


def describe_user_settings(*, state: bool, location: bool) -> str:
    """Return the comment on a finding of which the user set the state, the location, or both."""
    return f"{'; '.join([STATE_SET] * state + [LOCATION_SET] * location)}."
