"""Parse JSON from outside strictly: nesting is limited, and a key occurs once in an object."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not JSON, is nested too deeply, or has an object with a key that occurs twice.
    """
    try:
        return json.loads(text, object_pairs_hook=unique_keys)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object from its keys and values, as an `object_pairs_hook` of `json`.

    Raises:
        ValueError: A key occurs twice, so that readers would disagree which value counts.
    """
    content = dict(pairs)
    if len(content) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"the key {next(name for name, count in counts.items() if count > 1)!r} occurs twice")
    return content
