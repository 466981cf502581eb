"""The time that an output records as that of its creation."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from report_gen.controls import shorten
from report_gen.errors import UsageError

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, the last that `datetime` knows, in seconds since 1970."""


def creation_time() -> datetime:
    """Return the time, or SOURCE_DATE_EPOCH (reproducible-builds.org) if that is set, for reproducible outputs.

    Raises:
        UsageError: SOURCE_DATE_EPOCH is not a number of seconds that a date can be made of.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC)
    if not re.fullmatch("[0-9]{1,12}", epoch) or int(epoch) > _LAST_SECOND:
        raise UsageError(
            f"SOURCE_DATE_EPOCH={shorten(epoch, 40)!r} is not a time; give whole seconds since 1970, at most "
            f"{_LAST_SECOND}, or unset it"
        )
    return datetime.fromtimestamp(int(epoch), UTC)
