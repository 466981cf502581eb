"""The sentences written for training state their finding, at the place that they name, and nothing else."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import report_gen_training.data.templates
from report_gen_training.data.concepts import KnownConcepts
from report_gen_training.data.templates import expand_template, template_report
from report_gen_training.data.text_cleaning import without_places

from report_gen.auditing import mentions_side, names_located_sides
from report_gen.errors import RecipeError
from report_gen.labeling import chest_xray, label_findings, locate_findings
from report_gen.records import (
    DESCRIBING_SECTIONS,
    UNKNOWN_LOCATION,
    FindingSchema,
    FindingState,
    Section,
    SectionName,
    Sentence,
    Zone,
    location_to_parts,
)

FILE = Path(report_gen_training.data.templates.__file__).parent / "sentence_templates" / "chest_xray.toml"
SCHEMA = chest_xray()
RIGHT, LEFT, UPPER, MID, LOWER = range(5)
PLACES = {
    "right": {RIGHT},
    "left": {LEFT},
    "bilateral": {RIGHT, LEFT},
    "both": {RIGHT, LEFT},
    "bibasilar": {RIGHT, LEFT, LOWER},
    "biapical": {RIGHT, LEFT, UPPER},
    "apices": {UPPER},
    "bases": {LOWER},
    "retrocardiac": {LEFT, LOWER},
    "diffuse": {RIGHT, LEFT, UPPER, MID, LOWER},
    **{word: {UPPER} for word in ("upper", "apical", "apex")},
    **{word: {MID} for word in ("mid", "middle", "perihilar")},
    **{word: {LOWER} for word in ("lower", "basilar", "base", "costophrenic")},
}
"""Parts of a location that a word names."""


def sentences() -> Iterator[tuple[str, str]]:
    """Yield (finding, sentence)."""
    for finding, sections in tomllib.loads(FILE.read_text(encoding="utf-8")).items():
        for templates in sections.values():
            yield from ((finding, sentence) for template in templates for sentence in expand_template(template))


def named_parts(sentence: str) -> list[bool]:
    words = re.findall("[a-z]+", sentence.lower())
    parts: set[int] = set().union(*(PLACES.get(word, set()) for word in words))
    return [part in parts for part in range(5)]


def test_a_template_stands_for_every_combination() -> None:
    assert list(expand_template("{A|B} x {c|d}.")) == ["A x c.", "A x d.", "B x c.", "B x d."]
    assert list(expand_template("No choice.")) == ["No choice."]


def test_each_sentence_states_its_finding_at_the_place_that_it_names() -> None:
    for finding, sentence in sentences():
        states = label_findings(sentence)
        stated = [name for name in SCHEMA.stated if states[name] in (FindingState.PRESENT, FindingState.UNCERTAIN)]
        assert stated == [finding], sentence
        location = locate_findings(sentence).get(finding, UNKNOWN_LOCATION)
        assert list(location_to_parts(location)) == named_parts(sentence), sentence
        assert names_located_sides(sentence), sentence


def test_each_sentence_is_known_and_has_a_form_without_places() -> None:
    concepts = KnownConcepts(SCHEMA, ("Fracture", "Support Devices", "Enlarged Cardiomediastinum"))
    for finding, sentence in sentences():
        assert concepts.reduce(sentence) == sentence
        (section,) = without_places((Section(SectionName.FINDINGS, (Sentence(sentence),)),), SCHEMA)
        assert label_findings(section.text)[finding] is label_findings(sentence)[finding], section.text
        zones = locate_findings(section.text).get(finding, UNKNOWN_LOCATION).zones
        # Every costophrenic angle is at the base, and a diffuse finding has no place to lose.
        assert zones in (frozenset(), frozenset(Zone)) or "costophrenic" in section.text, section.text
        assert not mentions_side(section.text), section.text


def test_every_label_of_chest_x_ray_14_has_sentences_for_both_sections() -> None:
    report = template_report(SCHEMA)
    assert [section.name for section in report] == list(DESCRIBING_SECTIONS)
    labels = set(SCHEMA.mappings["nih"].values())
    for section in report:
        states = [label_findings(sentence.text) for sentence in section.sentences]
        assert {name for name in labels if any(one[name] is FindingState.PRESENT for one in states)} == labels


def test_a_schema_without_templates_is_refused() -> None:
    with pytest.raises(RecipeError, match="augmented_templates"):
        template_report(FindingSchema(name="own", findings=("Haemorrhage",)))
