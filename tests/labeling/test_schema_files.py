"""Finding schemas from files: the built-in schema, a user's file, and the faults of bad files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from report_gen.errors import UsageError
from report_gen.labeling import FindingLabeler, chest_xray, find_mentions, label_findings, load_schema
from report_gen.records import FindingState

PRESENT, ABSENT, UNCERTAIN, NOT_MENTIONED = (
    FindingState.PRESENT,
    FindingState.ABSENT,
    FindingState.UNCERTAIN,
    FindingState.NOT_MENTIONED,
)

HEAD_CT = """
name = "head_ct"

[[finding]]
name = "No Finding"
phrases = ["normal [head|brain] (ct|study)"]

[[finding]]
name = "Haemorrhage"
phrases = ["(haemorrhage*|hemorrhage*|bleed*)", "(subdural|epidural) (haematoma*|hematoma*)"]
hints = ["hyperdens*"]
aliases = ["ICH"]

[[finding]]
name = "Mass effect"
paired = false
phrases = ["mass effect", "midline shift"]

[[finding]]
name = "Hydrocephalus"
paired = false
phrases = ["hydrocephalus", "(enlarged|dilated) ventricles"]

[no_finding]
finding = "No Finding"

[subsets]
acute = ["Haemorrhage", "Mass effect"]
"""


def write(folder: Path, text: str = HEAD_CT) -> Path:
    path = folder / "head_ct.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_chest_findings_are_those_of_chexpert_and_three_of_nih() -> None:
    """Against table 1 of arXiv:1901.07031, and the labels of arXiv:1705.02315 that are not in it."""
    schema = chest_xray()
    assert schema.findings == (
        "No Finding",
        "Enlarged Cardiomediastinum",
        "Cardiomegaly",
        "Lung Opacity",
        "Lung Lesion",
        "Edema",
        "Consolidation",
        "Pneumonia",
        "Atelectasis",
        "Pneumothorax",
        "Pleural Effusion",
        "Pleural Other",
        "Fracture",
        "Support Devices",
        "Emphysema",
        "Fibrosis",
        "Hernia",
    )
    assert schema.subsets["chexpert"] == schema.scored_findings == schema.findings[:14]
    assert list(schema.scored_sets) == ["14", "5"]
    assert load_schema("chest_xray") is schema


def test_no_findings() -> None:
    schema = load_schema("none")
    assert schema.findings == ()
    assert label_findings("Large haemorrhage.", schema) == {}
    assert find_mentions("No acute abnormality.", schema) == ()


@pytest.mark.parametrize(
    ("text", "states"),
    [
        ("Acute subdural haematoma on the left.", {"No Finding": ABSENT, "Haemorrhage": PRESENT}),
        ("Possible bleed.", {"No Finding": UNCERTAIN, "Haemorrhage": UNCERTAIN}),
        ("A hyperdense focus.", {"No Finding": UNCERTAIN, "Haemorrhage": UNCERTAIN}),
        ("There is mass effect with midline shift.", {"No Finding": ABSENT, "Mass effect": PRESENT}),
        ("No haemorrhage.", {"Haemorrhage": ABSENT}),
        ("INDICATION: Haemorrhage? FINDINGS: Hydrocephalus.", {"No Finding": ABSENT, "Hydrocephalus": PRESENT}),
        ("The haemorrhage has resolved.", {"Haemorrhage": ABSENT}),
        ("Rule out bleed.", {}),
        ("No acute abnormality.", {"No Finding": PRESENT}),
        ("Normal head CT.", {"No Finding": PRESENT}),
        (
            "No haemorrhage, mass effect or hydrocephalus.",
            {"No Finding": PRESENT, "Haemorrhage": ABSENT, "Mass effect": ABSENT, "Hydrocephalus": ABSENT},
        ),
        (
            "No haemorrhage, but the dilated ventricles suggest hydrocephalus.",
            {"No Finding": ABSENT, "Haemorrhage": ABSENT, "Hydrocephalus": PRESENT},
        ),
        ("Cardiomegaly and pleural effusion.", {}),
    ],
)
def test_a_users_findings_get_the_shared_negation(tmp_path: Path, text: str, states: dict[str, FindingState]) -> None:
    schema = load_schema(write(tmp_path))
    assert label_findings(text, schema) == dict.fromkeys(schema.findings, NOT_MENTIONED) | states


def test_mentions_of_a_users_findings(tmp_path: Path) -> None:
    labeler = FindingLabeler(load_schema(write(tmp_path)))
    text = "Left subdural hematoma with midline shift."
    bleed, shift = labeler.find_mentions(text)
    assert (bleed.finding, bleed.location.side) == ("Haemorrhage", "left")
    assert text[bleed.start : bleed.end] == "subdural hematoma"
    assert (shift.finding, shift.location.side) == ("Mass effect", "midline")
    assert labeler.findings_in_state(text, PRESENT) == {"Haemorrhage", "Mass effect"}


def test_aliases_and_subsets_of_a_findings_file(tmp_path: Path) -> None:
    schema = load_schema(write(tmp_path))
    assert schema.resolve_name("ich") == "Haemorrhage"
    assert schema.scored_sets == {"4": schema.findings, "2": ("Haemorrhage", "Mass effect")}


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('name = "head_ct"\n', "", r"key 'name' is missing; add it"),
        (
            'name = "head_ct"',
            'name = "chest_xray"',
            r"name 'chest_xray' is the name of a built-in schema; choose another name",
        ),
        ("hints =", "hint =", r"unknown key 'finding\.1\.hint'; remove it"),
        ('["hydrocephalus", "(enlarged|dilated) ventricles"]', "[]", r"finding\.3\.phrases: .*at least 1 item"),
        (
            '"midline shift"',
            '"(midline shift"',
            r"finding 'Mass effect': the phrase '\(midline shift' .* unclosed bracket",
        ),
        ('"midline shift"', '"(midline|) shift"', r"finding 'Mass effect': the phrase '\(midline\|\) shift' is empty"),
        (
            '"midline shift"',
            '"Midline shift"',
            r"finding 'Mass effect': write the phrase 'Midline shift' in lower case",
        ),
        ('"Haemorrhage", "Mass effect"]', '"Blood"]', r"subsets\.acute names 'Blood', which is not .* choose from No"),
        ('finding = "No Finding"', 'finding = "Normal"', r"no_finding names 'Normal'"),
        ('name = "Hydrocephalus"', 'name = "Haemorrhage"', r"findings names 'Haemorrhage' twice; keep one"),
        ("[subsets]", "[subsets", r"not TOML .* correct that line"),
        ("[subsets]", "x = " + "[" * 5000, r"not TOML \(maximum recursion"),
        ("[subsets]", "x = " + "1" * 5000, r"not TOML .*4300 digits"),
    ],
)
def test_a_bad_findings_file_is_refused(tmp_path: Path, before: str, after: str, fault: str) -> None:
    assert before in HEAD_CT
    with pytest.raises(UsageError, match=rf"head_ct\.toml: {fault}"):
        load_schema(write(tmp_path, HEAD_CT.replace(before, after)))


def test_a_missing_findings_file_is_refused_with_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"own\.toml: cannot be read .*; give a findings .* chest_xray, ct_mr, none"):
        load_schema(tmp_path / "own.toml")


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 5000])
def test_a_findings_file_that_cannot_be_parsed_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "findings.toml").write_text(f"name = {content}")
    with pytest.raises(UsageError, match=r"findings\.toml: not TOML"):
        load_schema(tmp_path / "findings.toml")


def test_a_findings_file_without_an_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(2**40)  # a sparse file
    for name in ("pipe.toml", "large.toml"):
        with pytest.raises(UsageError, match=f"{name}: not a regular file of at most"):
            load_schema(tmp_path / name)
