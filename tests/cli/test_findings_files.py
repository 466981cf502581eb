"""`--findings FILE`: scores and corpus checks of a user's findings in place of those of the chest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders import write_manifest
from tests.cli.conftest import Command

HEAD_CT = """
name = "head_ct"

[[finding]]
name = "Haemorrhage"
phrases = ["haemorrhage*"]

[[finding]]
name = "Hydrocephalus"
phrases = ["hydrocephalus"]
"""
REPORTS = ("There is a haemorrhage.", "No haemorrhage.", "Haemorrhage and hydrocephalus.", "Normal.")
DRAFTS = ("There is a haemorrhage.", "Haemorrhage.", "Haemorrhage. No hydrocephalus.", "Normal.")
"""Of haemorrhage 2 are found, 1 is false and none is missed; of hydrocephalus 1 is missed."""


@pytest.fixture
def findings(tmp_path: Path) -> Path:
    path = tmp_path / "head_ct.toml"
    path.write_text(HEAD_CT, encoding="utf-8")
    return path


def write_texts(path: Path, texts: tuple[str, ...]) -> Path:
    rows = [{"id": str(number), "report": text} for number, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.usefixtures("no_java")
def test_scores_are_of_the_users_findings(report_gen: Command, findings: Path, tmp_path: Path) -> None:
    files = (write_texts(tmp_path / "drafts.jsonl", DRAFTS), write_texts(tmp_path / "reports.jsonl", REPORTS))
    outputs = ("--json", tmp_path / "scores.json", "--html", tmp_path / "page.html", "--csv", tmp_path / "table.csv")
    answer = report_gen("score", *files, "--bootstrap", 0, "--findings", findings, *outputs)
    assert answer.code == 0, answer.err
    document = json.loads((tmp_path / "scores.json").read_text())
    assert document["finding_schema"] == "head_ct"
    scores = {one["name"]: one for one in document["model"]["scores"]}
    assert scores["Haemorrhage precision, uncertain+"]["value"] == pytest.approx(2 / 3)
    assert scores["Haemorrhage recall, uncertain+"]["value"] == 1
    assert scores["Hydrocephalus F1, uncertain+"]["value"] == 0
    assert scores["micro F1, 2 findings, uncertain+"]["value"] == pytest.approx(2 / 3)
    assert "rules:head_ct,uncertain+" in scores["micro F1, 2 findings, uncertain+"]["signature"]
    assert not any("Cardiomegaly" in name or "14 findings" in name for name in scores)
    assert document["support"]["uncertain+"] == {"Haemorrhage": 2, "Hydrocephalus": 1}
    assert "Hydrocephalus" in (tmp_path / "page.html").read_text()
    assert (tmp_path / "table.csv").read_text().splitlines()[3].startswith('"2",')


def test_a_corpus_check_counts_the_users_findings_and_labels(
    report_gen: Command, findings: Path, tmp_path: Path
) -> None:
    rows = [{"study_id": str(n), "findings": text, "Haemorrhage": n % 2} for n, text in enumerate(REPORTS)]
    corpus = write_manifest(tmp_path / "corpus", rows)
    answer = report_gen("corpus", "check", corpus, "--no-images", "--findings", findings, "--json", tmp_path / "c.json")
    assert answer.code == 0, answer.err
    document = (tmp_path / "c.json").read_text()
    assert "Hydrocephalus" in answer.out
    assert "Hydrocephalus" in document
    assert "Cardiomegaly" not in answer.out + document


def test_converting_keeps_the_users_labels(report_gen: Command, findings: Path, tmp_path: Path) -> None:
    corpus = write_manifest(tmp_path / "corpus", [{"study_id": "1", "findings": "Normal.", "Haemorrhage": 0}])
    answer = report_gen("corpus", "convert", corpus, "-o", tmp_path / "out", "--findings", findings)
    assert answer.code == 0, answer.err
    assert json.loads((tmp_path / "out" / "manifest.jsonl").read_text())["Haemorrhage"] == 0


def test_a_bad_findings_file_ends_in_one_sentence(report_gen: Command, findings: Path, tmp_path: Path) -> None:
    findings.write_text(HEAD_CT.replace("phrases", "phrase"), encoding="utf-8")
    texts = write_texts(tmp_path / "reports.jsonl", REPORTS)
    answer = report_gen("score", texts, texts, "--findings", findings)
    assert answer.code == 2
    assert "head_ct.toml: key 'finding.0.phrases' is missing; add it" in answer.err
