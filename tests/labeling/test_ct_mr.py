"""The findings of the schema `ct_mr`, on sentences and captions whose labels were written by hand."""

from __future__ import annotations

import csv
from itertools import chain
from pathlib import Path

import pytest
from report_gen_training.benchmarks.caption_agreement import count_captions, read_coded_captions
from report_gen_training.benchmarks.labeler_agreement import pool

from report_gen.labeling import chest_xray, find_mentions, finding_labeler, load_schema
from report_gen.outputs.codes import finding_code, finding_site
from report_gen.records import FindingState, Side

SCHEMA = load_schema("ct_mr")
STATES = (FindingState.PRESENT, FindingState.UNCERTAIN, FindingState.ABSENT)
CAPTIONS = Path(__file__).with_name("medpix_captions.tsv")


def read_rows(name: str) -> list[dict[str, str]]:
    with Path(__file__).with_name(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))


TABLE = read_rows("ct_mr_table.tsv")


def named(row: dict[str, str], state: str) -> set[str]:
    return set(filter(None, row[state].split("; ")))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["text"])
def test_the_findings_of_a_sentence(row: dict[str, str]) -> None:
    found = finding_labeler(SCHEMA).label(row["text"])
    for state in STATES:
        assert {name for name in SCHEMA.findings if found[name] is state} == named(row, state), state


@pytest.mark.parametrize("state", STATES)
def test_the_table_has_every_finding_in_every_state(state: FindingState) -> None:
    assert set(chain.from_iterable(named(row, state) for row in TABLE)) == set(SCHEMA.findings)


def test_a_side_is_read_and_no_zone_of_the_lungs() -> None:
    labeler = finding_labeler(SCHEMA)
    assert {name: place.side for name, place in labeler.locate("Left temporal lobe mass.").items()} == {
        "Mass or Lesion": Side.LEFT
    }
    (mention,) = find_mentions("Cyst of the upper pole of the right kidney.", SCHEMA)
    assert mention.location.side is Side.RIGHT
    assert not mention.location.zones


def test_no_finding_has_the_name_or_the_code_of_a_chest_finding() -> None:
    """The code of the chest finding Edema is that of pulmonary edema."""
    assert not set(SCHEMA.findings) & set(chest_xray().findings)
    assert not [name for name in SCHEMA.findings if finding_code(name) or finding_site(name)]


def test_there_is_no_finding_that_means_normal() -> None:
    assert SCHEMA.normal == ""
    assert SCHEMA.stated == SCHEMA.abnormal == SCHEMA.findings
    assert set(finding_labeler(SCHEMA).label("Normal study, no abnormality.").values()) == {FindingState.NOT_MENTIONED}


@pytest.mark.realdata
def test_captions_that_a_reader_coded(shared: Path) -> None:
    """120 captions of training cases, coded before the labeler read them (notebooks/results.md)."""
    stated = read_coded_captions(CAPTIONS, shared / "data" / "medpix2")
    labels = [finding_labeler(SCHEMA).label(caption) for caption, _ in stated]
    assert len(stated) == 120
    assert {name for _, states in stated for name in states} <= set(SCHEMA.findings)
    micro = pool(count_captions(stated, labels, name) for name in SCHEMA.findings)
    assert micro.support == 203
    assert micro.precision > 0.93
    assert micro.recall > 0.9
