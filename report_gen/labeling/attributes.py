"""Read the modality, plane and body part from corpora, headers and texts, with `vocabularies/attributes.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from report_gen.labeling.phrase_language import phrase_pattern, phrase_precedence
from report_gen.records import AttributeName, Study

VOCABULARY = "attributes.toml"


def value_of_term(name: AttributeName, term: str) -> str:
    """Return the attribute value that a field of a table or of a header means.

    Args:
        name: The attribute.
        term: The content of the field, such as "MR" or "magnetic_resonance".

    Returns:
        The value, such as "MR". A term that the vocabulary does not contain is returned with single spaces.
    """
    words = " ".join(term.replace("_", " ").split())
    return _terms(name).get(words.lower(), words)


def named_values(name: AttributeName, text: str) -> tuple[str, ...]:
    """Return the values of an attribute that a text names, each once, in the order of their first mention."""
    return tuple(dict.fromkeys(mentioned_values(name, text)))


def mentioned_values(name: AttributeName, text: str) -> Iterator[str]:
    """Yield the value of an attribute at each of its mentions in a text."""
    pattern, values = _words(name)
    found = (values[match.lastindex - 1] for match in pattern.finditer(text) if match.lastindex)
    return filter(None, found)


def mismatched_attributes(text: str, values: Mapping[AttributeName, str]) -> tuple[AttributeName, ...]:
    """Return the attributes for which a text names another value than the given one, or names another value first.

    The first value that a text names is that of the image: further ones may be of an earlier study, or of a place to
    which a finding extends. A text that names the given value in the second place states another one.

    Args:
        text: The report.
        values: The value of each attribute; "" for an unknown value, which no text contradicts.
    """
    first = {name: next(iter(named_values(name, text)), "") for name, value in values.items() if value}
    return tuple(name for name, named in first.items() if named and named != values[name])


def contradicted_attributes(text: str, values: Mapping[AttributeName, str]) -> tuple[AttributeName, ...]:
    """Return the attributes for which a text names another value than the given one, be it beside the given one.

    Values that every image may show, such as bones, contradict nothing, and neither do values that images of the given
    value show as well, such as kidneys in the abdomen.

    Args:
        text: The report, or a sentence of it.
        values: The value of each attribute; "" for an unknown value, which no text contradicts.
    """
    return tuple(
        name
        for name, value in values.items()
        if value and not _values_shown_with(name, value).issuperset(named_values(name, text))
    )


def header_values(study: Study) -> dict[AttributeName, str]:
    """Return Modality (0008,0060) and Body Part Examined (0018,0015) of a study.

    A value that differs between the series is missing.
    """
    stated: dict[AttributeName, set[str]] = {
        "modality": {value_of_term("modality", series.modality or "") for series in study.series},
        "body_part": {value_of_term("body_part", series.body_part or "") for series in study.series},
    }
    return {name: value for name, values in stated.items() if len(values) == 1 for value in values if value}


@cache
def _values_shown_with(name: AttributeName, value: str) -> frozenset[str]:
    """Return the value and those that its images may show as well."""
    vocabulary = _vocabulary()
    overlapping = (group for group in vocabulary["overlapping"].get(name, ()) if value in group)
    return frozenset({value, *vocabulary["anywhere"].get(name, ())}.union(*overlapping))


@cache
def _vocabulary() -> Mapping[str, Any]:
    return tomllib.loads((files(__package__) / "vocabularies" / VOCABULARY).read_text(encoding="utf-8"))


@cache
def _terms(name: AttributeName) -> Mapping[str, str]:
    entries = _vocabulary()[name].items()
    return {term: value for value, entry in entries for term in (*entry["terms"], value.lower())}


@cache
def _words(name: AttributeName) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return a pattern with one group per phrase, and the value of each group; "" for a phrase that names no value."""
    meanings = {phrase: value for value, entry in _vocabulary()[name].items() for phrase in entry["words"]}
    meanings |= dict.fromkeys(_vocabulary()["ignored"][name], "")
    phrases = sorted(meanings, key=phrase_precedence)
    pattern = "|".join(f"({phrase_pattern(phrase)})" for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{pattern})", re.IGNORECASE), tuple(meanings[phrase] for phrase in phrases)
