"""Texts of the DICOM structured reports of drafts that `report_gen.reading` looks for. It loads no library."""

from __future__ import annotations

MANUFACTURER = "report-gen"
"""Manufacturer (0008,0070) of every DICOM object of a draft."""
STATE_SET, LOCATION_SET = "state", "location"
"""Words of the comment on a finding about what the user set."""


def describe_user_settings(*, state: bool, location: bool) -> str:
    """Return the comment on a finding of which the user set the state, the location, or both."""
    words = [word for word, is_set in ((STATE_SET, state), (LOCATION_SET, location)) if is_set]
    return f"The user set the {' and '.join(words)}."
