"""Read finding schemas: built-in ones and findings files of users.

A findings file is TOML. One file gives the schema and the phrases by which reports are labeled:

    name = "head_ct"

    [[finding]]
    name = "Hemorrhage"
    phrases = ["(haemorrhage*|hemorrhage*)", "(subdural|epidural) (haematoma*|hematoma*)"]
    hints = ["hyperdens*"]          # optional: phrases that count as uncertain
    paired = true                   # optional: false for a finding of the midline
    aliases = ["bleed"]             # optional: further names in corpora and on the command line

    [no_finding]                    # optional: the finding that means "normal"
    finding = "No Finding"
    ignored = []                    # optional: findings that do not count against it
    inconclusive = []               # optional: findings that make it unknown

    [subsets]                       # optional: selections that scores average over
    acute = ["Hemorrhage"]

    [mappings.rsna]                 # optional: finding for each label of another label set
    any = "Hemorrhage"

The head of `vocabularies/cues.toml` describes how a phrase is written.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

import pydantic

from report_gen.errors import UsageError
from report_gen.records import FindingPhrases, FindingSchema, NoFindingRule
from report_gen.toml_files import describe_fault, read_toml_file

NO_FINDINGS = "none"
"""Name of the schema of a model without findings."""

_BUILT_IN = files(__package__) / "schemas"


def load_schema(name_or_path: str | os.PathLike[str]) -> FindingSchema:
    """Load a built-in finding schema by name, `none` for no findings, or a user's findings file by path.

    Raises:
        UsageError: The file cannot be read or its content is wrong; the message names the file, the key and the remedy.
    """
    name = os.fspath(name_or_path)
    if name == NO_FINDINGS:
        return FindingSchema(name=NO_FINDINGS)
    if name in built_in_schemas():
        return built_in_schema(name)
    return _read_findings_file(Path(name))


@cache
def built_in_schemas() -> tuple[str, ...]:
    """Return the names of the built-in finding schemas."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _BUILT_IN.iterdir() if file.name.endswith(".toml")))


@cache
def built_in_schema(name: str) -> FindingSchema:
    """Return a built-in finding schema, which is read once."""
    content = tomllib.loads((_BUILT_IN / f"{name}.toml").read_text(encoding="utf-8"))
    return pydantic.TypeAdapter(FindingSchema).validate_python(content)


def chest_xray() -> FindingSchema:
    """Return the schema of chest radiographs: the 14 observations of CheXpert and three of ChestX-ray14."""
    return built_in_schema("chest_xray")


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)


class _Finding(_Strict):
    name: str
    phrases: tuple[str, ...] = pydantic.Field(min_length=1)
    hints: tuple[str, ...] = ()
    paired: bool = True
    aliases: tuple[str, ...] = ()


class _NoFinding(_Strict):
    finding: str
    ignored: tuple[str, ...] = ()
    inconclusive: tuple[str, ...] = ()


class _FindingsFile(_Strict):
    name: str
    finding: tuple[_Finding, ...] = pydantic.Field(min_length=1)
    no_finding: _NoFinding | None = None
    scored: str = ""
    subsets: dict[str, tuple[str, ...]] = {}
    mappings: dict[str, dict[str, str]] = {}

    @pydantic.model_validator(mode="after")
    def _check(self) -> _FindingsFile:
        if self.name in (NO_FINDINGS, *built_in_schemas()):
            raise ValueError(f"name {self.name!r} is the name of a built-in schema; choose another name")
        _check_phrases({one.name: (*one.phrases, *one.hints) for one in self.finding})
        self.to_schema()
        return self

    def to_schema(self) -> FindingSchema:
        return FindingSchema(
            name=self.name,
            findings=tuple(one.name for one in self.finding),
            no_finding=None if self.no_finding is None else NoFindingRule(**self.no_finding.model_dump()),
            scored=self.scored,
            subsets=self.subsets,
            mappings=self.mappings,
            aliases={alias: one.name for one in self.finding for alias in one.aliases},
            phrases={
                one.name: FindingPhrases(phrases=one.phrases, hints=one.hints, paired=one.paired)
                for one in self.finding
            },
        )


_EMPTY_CHOICE = re.compile(r"[(\[|]\s*[|)\]]")


def _check_phrases(phrases: Mapping[str, tuple[str, ...]]) -> None:
    for finding, own in phrases.items():
        for phrase in own:
            bare = phrase.translate(str.maketrans("", "", "()[]|*"))
            balanced = phrase.count("(") == phrase.count(")") and phrase.count("[") == phrase.count("]")
            if not bare.strip() or not balanced or _EMPTY_CHOICE.search(phrase):
                raise ValueError(
                    f"finding {finding!r}: the phrase {phrase!r} is empty or has an unclosed bracket; "
                    "write it as `(one|another) word*`"
                )
            if phrase != phrase.lower():
                raise ValueError(f"finding {finding!r}: write the phrase {phrase!r} in lower case; it matches any case")


def _read_findings_file(path: Path) -> FindingSchema:
    known = ", ".join((*built_in_schemas(), NO_FINDINGS))
    content = read_toml_file(path, "a findings file", hint=f" or one of {known}")
    try:
        return _FindingsFile.model_validate(content).to_schema()
    except pydantic.ValidationError as error:
        raise UsageError(f"{path}: {describe_fault(error)}") from error
