"""What the options of a command line say, read before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from report_gen.errors import UsageError
from report_gen.labeling.attributes import value_of_term
from report_gen.records.findings import FindingState
from report_gen.records.report import ATTRIBUTES


def parse_overrides(settings: Sequence[str]) -> dict[str, FindingState]:
    """States by finding name. Raises UsageError."""
    states = {"present": FindingState.PRESENT, "absent": FindingState.ABSENT}
    states |= {"uncertain": FindingState.UNCERTAIN, "unknown": FindingState.UNKNOWN}
    overrides = {}
    for setting in settings:
        name, _, state = setting.partition("=")
        if state.strip().lower() not in states:
            raise UsageError(f"--finding {setting!r}: write NAME=STATE with a state of {', '.join(states)}")
        overrides[name.strip()] = states[state.strip().lower()]
    return overrides


def parse_attributes(settings: Sequence[str]) -> dict[str, str]:
    """Values by attribute name, DICOM terms in the words of the vocabulary; "" for unknown. Raises UsageError."""
    attributes = {}
    for setting in settings:
        name, _, value = (part.strip() for part in setting.partition("="))
        known = next((attribute for attribute in ATTRIBUTES if attribute == name), None)
        if known is None or not value:
            raise UsageError(f"--attribute {setting!r}: write NAME=VALUE with a name of {', '.join(ATTRIBUTES)}")
        attributes[name] = "" if value.lower() == "unknown" else value_of_term(known, value)
    return attributes


def check_picture(path: Path | None, option: str) -> None:
    """Raise UsageError for a name that does not say what the file is."""
    if path is not None and path.suffix.lower() != ".png":
        raise UsageError(f"{option} {path}: the picture is a PNG; give a name that ends in .png")
