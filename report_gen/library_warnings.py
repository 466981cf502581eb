"""Ignore warnings of libraries, without the race of `warnings.catch_warnings` between threads.

`catch_warnings` saves and restores a list of the whole process. Two threads that overlap restore it in the wrong order,
and the filters of one stay in force or are lost. A filter that is added once and stays has no such race.
"""

from __future__ import annotations

import re
import warnings


def ignore_warnings(*, message: str = "", module: str = "") -> None:
    """Ignore warnings of this process from now on. Further calls with the same arguments change nothing.

    Args:
        message: regular expression for the beginning of the message.
        module: regular expression for the beginning of the name of the module that warns.
    """
    patterns = [re.compile(pattern, flags) if pattern else None for pattern, flags in ((message, re.I), (module, 0))]
    if ("ignore", patterns[0], Warning, patterns[1], 0) not in warnings.filters:
        warnings.filterwarnings("ignore", message=message, module=module)
