"""Sentences that were reported as labeled wrong, and others of the same kinds. Only the listed findings are judged."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from report_gen.labeling import label_findings
from report_gen.records import FindingState

STATES = {
    "present": FindingState.PRESENT,
    "absent": FindingState.ABSENT,
    "uncertain": FindingState.UNCERTAIN,
    "not mentioned": FindingState.NOT_MENTIONED,
}


def read_rows() -> list[dict[str, str]]:
    with Path(__file__).with_name("reported_sentences.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ROWS = read_rows()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"])
def test_a_reported_sentence(row: dict[str, str]) -> None:
    expected = {finding: state for name, state in STATES.items() for finding in filter(None, row[name].split("; "))}
    found = label_findings(row["text"].replace("\\n", "\n"))
    assert {finding: found[finding] for finding in expected} == expected


def test_every_kind_has_several_sentences() -> None:
    kinds = [row["kind"] for row in ROWS]
    assert all(kinds.count(kind) >= 5 for kind in kinds)
    assert len(ROWS) > 100
