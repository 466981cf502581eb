"""Options that several commands share, and the parsers of their values."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from report_gen.arguments import MAX_SEED as MAX_SEED  # for all commands
from report_gen.errors import UsageError

if TYPE_CHECKING:
    from report_gen.drafting import StudyLimits
    from report_gen.records import FindingLocation, FindingSchema, FindingState

STRICT_CHECK_FAILED = 6
"""Exit code of `score --strict` and `corpus check --strict` if the drafts or the corpus fail."""

MAX_BOOTSTRAP = 100_000
"""Largest number of bootstrap samples; an interval changes in the third digit with a hundredth of that."""
MAX_BATCH = 1024
"""Largest number of studies that the model processes together; more would exhaust any memory."""

LimitMemory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory that reading one image may take, such as 512MB or 2GB; larger images are refused. Default: half "
        "of the memory that is available at the start.",
    ),
]
_LAYOUTS = (
    *("r2gen", "indiana", "openi", "mimic-cxr", "mimic-cxr-jpg", "nih", "medpix", "medpix-series", "medpix-cases"),
    *("hf", "imagefolder"),
    *("coco", "manifest", "table", "dicom", "image-text"),
)
"""Names of `corpora.LAYOUTS`; a test compares both, because importing the registry takes seconds."""
Layout = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help=f"Layout of the corpus: {', '.join(_LAYOUTS)}. Default: detected from its files."
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--columns",
        metavar="FIELD=COLUMN,...",
        help="Columns of your table, such as image=filename,report=report_text,patient=PatientID. May be repeated.",
    ),
]
Preset = Annotated[str, typer.Option(help="Scoring preset: r2gen-iu, r2gen-mimic, raw, or a TOML file.")]
NoJava = Annotated[bool, typer.Option("--no-java", help="Omit METEOR 1.5, which needs Java.")]
Findings = Annotated[
    Path | None,
    typer.Option(
        "--findings",
        metavar="FILE",
        help="TOML file with findings and their phrases, or the built-in ct_mr. Default: chest radiographs.",
    ),
]


def load_findings(path: Path | None) -> FindingSchema:
    """Load the findings of a file, or the built-in ones of a chest radiograph.

    Raises:
        UsageError: The file cannot be read or describes no findings.
    """
    from report_gen.labeling import chest_xray, load_schema

    return chest_xray() if path is None else load_schema(path)


def parse_columns(settings: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Parse `FIELD=COLUMN,FIELD=COLUMN` settings into columns by field.

    Raises:
        UsageError: A setting has no field or no column.
    """
    columns: dict[str, tuple[str, ...]] = {}
    for setting in settings or ():
        for pair in setting.split(","):
            field, equals, column = (part.strip() for part in pair.partition("="))
            if not (field and equals and column):
                raise UsageError(f"--columns {setting!r}: write FIELD=COLUMN, such as image=filename,report=text")
            columns[field] = (*columns.get(field, ()), column)
    return columns


def study_limits(max_views: int | None, timeout: int) -> StudyLimits:
    """Return the limits of a study; a timeout of 0 seconds means any time."""
    from report_gen.drafting import StudyLimits

    return StudyLimits(max_views=max_views, seconds=timeout or None)


def image_memory_limit(size: str | None) -> AbstractContextManager[None]:
    """Return a context in which reading one image may take this memory, see `report_gen.imaging.limit_memory`.

    Args:
        size: Value of --limit-memory, such as 512MB or 1.5GiB; None for the default.

    Raises:
        UsageError: The text is no size, or the size is 0.
    """
    from pydantic import ByteSize, TypeAdapter, ValidationError

    from report_gen.imaging import limit_memory

    if size is None:
        return limit_memory()
    try:
        limit = int(TypeAdapter(ByteSize).validate_python(size))
    except ValidationError:
        limit = 0
    if limit < 1:
        raise UsageError(f"--limit-memory {size!r} is not a size above 0; write a size such as 512MB or 2GB")
    return limit_memory(limit)


def check_png_name(path: Path | None, option: str) -> None:
    """Raise UsageError if an option that writes a PNG names another kind of file."""
    if path is not None and path.suffix.lower() != ".png":
        raise UsageError(f"{option} {path}: the image is a PNG; give a name that ends in .png")


def check_outputs(*paths: Path | None) -> None:
    """Raise OutputError if a file that a command writes at its end cannot be written; None is no file."""
    from report_gen.files import check_writable

    for path in paths:
        if path is not None:
            check_writable(path)


def parse_overrides(settings: Sequence[str]) -> tuple[dict[str, FindingState], dict[str, FindingLocation]]:
    """Parse `NAME=STATE` and `NAME=STATE:LOCATION` settings into states and locations by finding name.

    Raises:
        UsageError: A setting has no known state or location, or a name has two. Whether the model knows it is checked
            later.
    """
    from report_gen.records import FindingState

    states = {"present": FindingState.PRESENT, "absent": FindingState.ABSENT}
    states |= {"uncertain": FindingState.UNCERTAIN, "unknown": FindingState.UNKNOWN}
    overrides: dict[str, FindingState] = {}
    locations: dict[str, FindingLocation] = {}
    for setting in settings:
        name, _, value = (part.strip() for part in setting.partition("="))
        state, _, words = (part.strip().lower() for part in value.partition(":"))
        if state not in states:
            raise UsageError(
                f"--finding {setting!r}: write NAME=STATE or NAME=STATE:LOCATION with a state of {', '.join(states)}, "
                "in quotes if it contains a space"
            )
        chosen = states[state]
        if overrides.setdefault(name, chosen) is not chosen:
            raise UsageError(f"--finding {setting!r}: {name!r} already has another state; give one state")
        if ":" in value:
            if not chosen.is_stated:
                raise UsageError(f"--finding {setting!r}: a finding that is {state} has no location; give NAME={state}")
            location = _parse_location(setting, words)
            if locations.setdefault(name, location) != location:
                raise UsageError(f"--finding {setting!r}: {name!r} already has another location; give one location")
    return overrides, locations


def _parse_location(setting: str, words: str) -> FindingLocation:
    """Return the location that the words after the colon of a setting name, such as `left lower`."""
    from report_gen.records import FindingLocation, Side, Zone

    sides = [side.value for side in Side if side is not Side.MIDLINE]
    named = words.split()
    chosen, zones = [word for word in named if word in sides], {Zone(word) for word in named if word in set(Zone)}
    if not named or len(chosen) > 1 or len(chosen) + len(zones) < len(named):
        raise UsageError(
            f"--finding {setting!r}: write NAME=STATE:LOCATION with one side of {', '.join(sides)} and any zones of "
            f"{', '.join(Zone)}, such as left lower"
        )
    return FindingLocation(Side(chosen[0]) if chosen else Side.UNKNOWN, frozenset(zones))


def parse_attributes(settings: Sequence[str]) -> dict[str, str]:
    """Parse `NAME=VALUE` settings into values by attribute name; "" means unknown.

    DICOM terms are translated to the values of the vocabulary, for example TRANSVERSE to axial.

    Raises:
        UsageError: A setting has no value, or names no attribute.
    """
    from report_gen.labeling import value_of_term
    from report_gen.records import ATTRIBUTES

    values = {}
    for setting in settings:
        name, _, value = (part.strip() for part in setting.partition("="))
        attribute = next((attribute for attribute in ATTRIBUTES if attribute == name), None)
        if attribute is None or not value:
            raise UsageError(f"--attribute {setting!r}: write NAME=VALUE with a name of {', '.join(ATTRIBUTES)}")
        values[name] = "" if value.lower() == "unknown" else value_of_term(attribute, value)
    return values
