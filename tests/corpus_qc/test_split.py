"""Splits by patient: no patient in two, every finding in proportion, and the same result for a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from report_gen.corpora import SPLITS, read_corpus
from report_gen.corpus_qc import split_corpus, split_rows, write_manifest
from report_gen.corpus_qc.split import assign_patients
from report_gen.errors import CorpusError
from tests.corpus_qc.test_check import corpus

RATIOS = {"train": 0.6, "val": 0.2, "test": 0.2}


def many(count: int = 300) -> list[dict[str, object]]:
    """Return studies of patients with two or three each; one patient in ten has a fracture, one in five an effusion."""
    rows = []
    for study in range(count):
        patient = study * 2 // 5
        text = "Rib fracture." if patient % 10 == 0 else "Pleural effusion." if patient % 5 == 1 else "Clear lungs."
        rows.append({"patient_id": f"p{patient}", "findings": text, "split": "test"})
    return rows


def test_every_patient_is_in_one_split_and_every_finding_in_proportion() -> None:
    rows = many()
    result = split_corpus(corpus(*rows), source="here", ratios=RATIOS, seed=0)
    splits = [SPLITS[index] for index in result.splits]
    pairs = {(row["patient_id"], split) for row, split in zip(rows, splits, strict=True)}
    assert len(pairs) == len({row["patient_id"] for row in rows})
    for text in ("Rib fracture.", "Pleural effusion.", "Clear lungs."):
        having = [split for row, split in zip(rows, splits, strict=True) if row["findings"] == text]
        for name, ratio in RATIOS.items():
            assert having.count(name) == pytest.approx(ratio * len(having), abs=2)
    assert result.summary["findings"]["Fracture"]["test"] == sum(
        split == "test" for row, split in zip(rows, splits, strict=True) if row["findings"] == "Rib fracture."
    )
    assert result.summary["studies"] == {name: splits.count(name) for name in SPLITS}


def test_the_split_of_a_patient_depends_on_the_seed_and_not_on_the_order() -> None:
    rows = [{"study_id": f"s{number}", **row} for number, row in enumerate(many())]
    first, again, other = (
        split_corpus(corpus(*rows), source="", ratios=RATIOS, seed=seed).splits for seed in (1, 1, 2)
    )
    reversed_order = split_corpus(corpus(*reversed(rows)), source="", ratios=RATIOS, seed=1).splits
    assert first.tolist() == again.tolist() == reversed_order[::-1].tolist()
    assert first.tolist() != other.tolist()


def test_the_rarest_finding_is_assigned_first() -> None:
    # Of four patients two have the rare finding; each of two equal splits must get one of them, and two patients.
    counts = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1], [0, 1, 1]])
    for seed in range(5):
        assigned = assign_patients(counts, np.array([0.5, 0.5]), np.random.default_rng(seed))
        assert sorted(assigned[:2].tolist()) == sorted(assigned[2:].tolist()) == [0, 1]


def test_a_split_with_fraction_0_stays_empty() -> None:
    result = split_corpus(corpus(*many(50)), source="", ratios={"train": 0.8, "val": 0.2, "test": 0.0}, seed=0)
    assert set(result.splits.tolist()) == {0, 1}


def test_studies_without_patients_are_assigned_one_by_one() -> None:
    rows = [{"study_id": "a", "findings": "x"}, {"patient_id": "a", "findings": "x"}, {"findings": "x"}]
    result = split_corpus(corpus(*rows), source="", ratios=dict.fromkeys(SPLITS, 1 / 3), seed=0)
    assert sorted(result.splits.tolist()) == [0, 1, 2]


def test_labels_take_precedence_over_the_report() -> None:
    labels = [0.0 if name == "Fracture" else None for name in ("x",) * 12] + [0.0, None, None, None, None]
    rows = [{"findings": "Rib fracture. Pleural effusion.", "labels": labels}, {"findings": "Rib fracture."}]
    result = split_corpus(corpus(*rows), source="", ratios={"train": 1.0, "val": 0.0, "test": 0.0}, seed=0)
    assert (
        result.summary["findings"]["Fracture"]["train"],
        result.summary["findings"]["Pleural Effusion"]["train"],
    ) == (1, 1)


def test_too_few_patients_and_repeated_studies_are_refused() -> None:
    with pytest.raises(CorpusError, match="here: 2 patients are too few, test would be empty"):
        split_corpus(corpus({"findings": "x"}, {"findings": "y"}), source="here", ratios=RATIOS, seed=0)
    repeated = corpus(*[{"study_id": "1", "findings": "x"}] * 3)
    with pytest.raises(CorpusError, match="here: 2 study ids occur more than once"):
        split_corpus(repeated, source="here", ratios=RATIOS, seed=0)


def test_a_corpus_with_patient_leakage_can_be_read_after_splitting(tmp_path: Path) -> None:
    leaking = corpus(*({"patient_id": f"p{n % 9}", "findings": "x", "split": SPLITS[n % 2]} for n in range(18)))
    result = split_corpus(leaking, source="", ratios=RATIOS, seed=0)
    write_manifest(tmp_path / "manifest.jsonl", split_rows(leaking, result.splits))
    again = read_corpus(tmp_path)
    assert [SPLITS.index(split) for split in again["split"]] == result.splits.tolist()


@pytest.mark.realdata
def test_the_indiana_collection_is_split_evenly(shared: Path) -> None:
    dataset = read_corpus(shared / "data" / "iu_xray", layout="indiana", require_images=None)
    result = split_corpus(dataset, source="", ratios=RATIOS, seed=0)
    for finding, counts in result.summary["findings"].items():
        total = sum(counts.values())
        assert all(counts[name] == pytest.approx(RATIOS[name] * total, abs=2) for name in SPLITS), finding
