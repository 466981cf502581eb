"""The fourteen findings read from sentences whose labels were written by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from report_gen.findings import FINDINGS, FindingState, find_mentions, label_findings
from report_gen.study import Laterality

TABLE = Path(__file__).with_name("findings_table.tsv")


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["text"])
def test_sentence(row: dict[str, str]) -> None:
    found = label_findings(row["text"])
    for state in ("present", "uncertain", "absent"):
        assert {name for name in FINDINGS if found[name] == state} == set(filter(None, row[state].split("; "))), state
