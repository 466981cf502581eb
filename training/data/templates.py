"""Read the sentences that are written for training, which state each finding at each place.

`sentence_templates/NAME.toml` contains the sentences for the vocabulary NAME of a finding schema.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from itertools import product

from report_gen.errors import RecipeError
from report_gen.records import DESCRIBING_SECTIONS, FindingSchema, Section, Sentence

from .sentence_bank import Report

_CHOICE = re.compile(r"\{([^{}]*)\}")


def template_report(schema: FindingSchema) -> Report:
    """Return one report with all sentences of the templates for a schema.

    Raises:
        RecipeError: There are no templates for the schema.
    """
    file = files(__package__) / "sentence_templates" / f"{schema.vocabulary}.toml"
    if not file.is_file():
        raise RecipeError(
            "augmented_templates needs sentences for the findings, and these findings have none; set it to false, or "
            "use findings = 'chest_xray'"
        )
    templates = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(
        Section(name, tuple(Sentence(text) for one in templates.values() for text in _expand_all(one[name.lower()])))
        for name in DESCRIBING_SECTIONS
    )


def expand_template(template: str) -> Iterator[str]:
    """Yield every text that a template stands for: "{Small|Large} effusion." for two."""
    parts = _CHOICE.split(template)  # text and choices in turn
    choices = [part.split("|") if number % 2 else [part] for number, part in enumerate(parts)]
    return map("".join, product(*choices))


def _expand_all(templates: list[str]) -> Iterator[str]:
    return (text for template in templates for text in expand_template(template))
