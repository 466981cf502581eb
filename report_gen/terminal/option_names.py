"""Replace parameters of the Python interface by options of the command line in messages.

Messages of the library name parameters, for programs that call it. The command line prints the same messages with the
corresponding options, so that no message has to name both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

OPTION_NAMES: Mapping[str, str] = {
    "as_study=True": "--as-study",
    "base=...": "--base",
    "force=True": "--force",
    "limits=StudyLimits(max_views=...)": "--max-views",
    "limits=StudyLimits(seconds=...)": "--timeout",
    "open it with open_archives": "give it by its name",
    "PriorStudy(days_earlier=...)": "--prior-days",
    "Study.with_attributes": "--attribute",
    "Study.with_view": "--view",
    "the argument of limit_memory": "--limit-memory",
}
"""Text of the command line by the text in messages of the library that it replaces."""

_PARAMETER = re.compile(r"(?<![\w/.-])(" + "|".join(map(re.escape, OPTION_NAMES)) + r")(?![\w/-])")


def name_options(message: str) -> str:
    """Return a message of the library with options in place of the parameters of the Python interface."""
    return _PARAMETER.sub(lambda found: OPTION_NAMES[found[0]], message)
