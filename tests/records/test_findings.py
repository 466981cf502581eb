"""FindingSchema: names and references are checked, and "no finding" follows from the other findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from report_gen.records import FindingPhrases, FindingSchema, FindingState, NoFindingRule

PRESENT, ABSENT, UNCERTAIN, UNKNOWN = (
    FindingState.PRESENT,
    FindingState.ABSENT,
    FindingState.UNCERTAIN,
    FindingState.UNKNOWN,
)
HEAD = FindingSchema(
    name="head",
    findings=("Normal", "Bleed", "Mass effect", "Shunt", "Osteoma"),
    no_finding=NoFindingRule(finding="Normal", ignored=("Shunt",), inconclusive=("Osteoma",)),
    subsets={"acute": ("Bleed", "Mass effect"), "other": ("Shunt", "Osteoma"), "all": ("Normal",)},
    aliases={"ICH": "Bleed", "midline shift": "Mass effect"},
    mappings={"rsna": {"any": "Bleed", "subdural": "Bleed", "shift": "Mass effect"}},
)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": ""}, "name is empty"),
        ({"findings": ("Bleed", "")}, "findings contains an empty name"),
        ({"findings": ("Bleed", "bleed")}, "findings names 'bleed' twice"),
        ({"subsets": {"acute": ("Bleed", "Blood")}}, r"subsets\.acute names 'Blood', .* choose from Bleed, Mass"),
        ({"mappings": {"rsna": {"any": "Blood"}}}, r"mappings\.rsna names 'Blood'"),
        ({"no_finding": NoFindingRule(finding="Normal")}, "no_finding names 'Normal'"),
        ({"no_finding": NoFindingRule(finding="Mass", ignored=("Shunt",))}, "no_finding names 'Shunt'"),
        ({"aliases": {"blood": "Blood"}}, "aliases names 'Blood'"),
        ({"aliases": {"mass": "Bleed"}}, "aliases assigns 'mass' to 'Bleed', but 'Mass' has this name"),
        ({"phrases": {"Blood": FindingPhrases(phrases=("blood",))}}, "phrases names 'Blood'"),
        ({"scored": "acute"}, "scored names the subset 'acute', which does not exist"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        FindingSchema(**{"name": "own", "findings": ("Bleed", "Mass")} | changes)


def test_names_and_aliases_are_found_in_any_case() -> None:
    assert [HEAD.resolve_name(text) for text in ("bleed", "MASS_EFFECT", "ich", "Midline  Shift", "blood")] == [
        "Bleed",
        "Mass effect",
        "Bleed",
        "Mass effect",
        None,
    ]
    assert HEAD.index("Shunt") == 3
    with pytest.raises(ValueError, match="'ich' is not a finding of the schema 'head'; choose from Normal, Bleed"):
        HEAD.index("ich")


def test_labels_of_another_set_by_finding() -> None:
    assert HEAD.labels_of("rsna") == {"Bleed": ("any", "subdural"), "Mass effect": ("shift",)}
    assert HEAD.labels_of("nih") == {}


def test_sets_that_scores_average_over() -> None:
    assert list(HEAD.scored_sets) == ["5", "2", "2 other", "1"]
    limited = FindingSchema(name="own", findings=("A", "B", "C"), subsets={"two": ("A", "B")}, scored="two")
    assert limited.scored_sets == {"2": ("A", "B")}
    assert FindingSchema(name="none").scored_sets == {}


@pytest.mark.parametrize(
    ("states", "options", "normal"),
    [
        ({"Bleed": PRESENT, "Mass effect": ABSENT}, {}, ABSENT),
        ({"Bleed": UNCERTAIN, "Mass effect": ABSENT}, {}, UNCERTAIN),
        ({"Bleed": UNCERTAIN, "Mass effect": PRESENT}, {}, ABSENT),
        ({"Bleed": ABSENT}, {}, PRESENT),
        ({"Bleed": ABSENT}, {"denials": 2}, UNKNOWN),
        ({"Bleed": ABSENT, "Mass effect": ABSENT}, {"denials": 3}, PRESENT),
        ({"Bleed": ABSENT, "Shunt": PRESENT}, {}, PRESENT),
        ({"Bleed": ABSENT, "Osteoma": PRESENT}, {}, UNKNOWN),
        ({"Bleed": ABSENT, "Osteoma": ABSENT}, {}, PRESENT),
        ({"Bleed": ABSENT}, {"other_abnormality": True}, UNKNOWN),
        ({"Normal": PRESENT}, {}, UNKNOWN),
        ({}, {"states_normal": True}, PRESENT),
        ({"Osteoma": UNCERTAIN}, {"states_normal": True}, UNKNOWN),
    ],
)
def test_no_finding_follows_from_the_others(
    states: dict[str, FindingState], options: dict[str, Any], normal: FindingState
) -> None:
    given = dict.fromkeys(HEAD.findings, UNKNOWN) | states
    assert HEAD.with_no_finding(given, **options) == given | {"Normal": normal}


def test_without_a_rule_no_state_follows() -> None:
    schema = FindingSchema(name="own", findings=("Bleed",))
    assert schema.with_no_finding({"Bleed": ABSENT}) == {"Bleed": ABSENT}
    assert (schema.normal, schema.abnormal, schema.stated) == ("", ("Bleed",), ("Bleed",))


def test_equal_schemas_have_equal_hashes() -> None:
    assert len({HEAD, replace(HEAD)}) == 1
