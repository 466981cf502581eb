"""The probabilities of a finding head become a table that a recipe can use."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from report_gen_training.data.soft_label_files import read_soft_labels
from report_gen_training.experiments.soft_labels import main, read_images

from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.errors import CorpusError
from report_gen.evaluation import study_from_row
from report_gen.generation import Decoding
from report_gen.labeling import chest_xray
from tests.builders import tiny_config, tiny_model, write_checkpoint, write_png
from tests.corpora.test_nih import PROBABILITIES
from tests.training.experiments.test_preprocessing import write_nih


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_nih(tmp_path / "nih", 12)


def test_the_table_has_the_probabilities_of_drafts(tmp_path: Path, corpus: Path) -> None:
    """The mean of two checkpoints; findings that a checkpoint does not report are empty."""
    present = tuple(0.5 if name in ("Edema", "Fracture") else None for name in chest_xray().findings)
    folders = []
    for seed in (0, 1):
        model = tiny_model(tiny_config(findings={"present": present}), seed=seed)
        folders.append(write_checkpoint(tmp_path / f"teacher-{seed}", model=model))
    table = tmp_path / "teacher.csv"
    main([str(corpus), "--output", str(table), *(word for one in folders for word in ("--checkpoint", str(one)))])
    found = read_soft_labels(table, chest_xray())
    assert len(found) == 12
    drafters = [Drafter.load(folder) for folder in folders]
    for row in list(read_corpus(corpus))[:8:7]:
        study = study_from_row(row)
        drafts = [one.draft_all([study], decoding=Decoding(max_tokens=8), force=True) for one in drafters]
        reports = [next(iter(one)) for one in drafts]
        expected = {
            finding.name: np.mean([dict(_probabilities(report))[finding.name] for report in reports])
            for finding in reports[0].findings
            if finding.probability is not None
        }
        assert set(expected) == {"Edema", "Fracture"}
        for name, value in zip(chest_xray().findings, found[row["study_id"]], strict=True):
            assert value == pytest.approx(expected[name], abs=2e-3) if name in expected else np.isnan(value)


def _probabilities(report: object) -> list[tuple[str, float]]:
    return [(one.name, one.probability) for one in report.findings if one.probability is not None]


def test_one_split_may_be_labeled(tmp_path: Path, corpus: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "teacher")
    table = tmp_path / "teacher.csv"
    main([str(corpus), "--checkpoint", str(checkpoint), "--output", str(table), "--split", "train"])
    with table.open() as file:
        named = [row["image"] for row in csv.DictReader(file)]
    assert 0 < len(named) < 12
    assert set(named) < {f"{number}.png" for number in range(12)}
    with pytest.raises(CorpusError, match="no image in the split 'none'; choose another --split"):
        main([str(corpus), "--checkpoint", str(checkpoint), "--output", str(table), "--split", "none"])


def test_only_studies_without_soft_labels_may_be_labeled(tmp_path: Path, corpus: Path) -> None:
    rows = [",".join([f"images/{number}.png", *["0.5"] * 14]) for number in (2, 5)]
    (corpus / "chexnet_probs.csv").write_text("\n".join([PROBABILITIES.strip(), *rows]))
    labeled = {Path(path).name for path, _ in read_images([corpus], "all", only_missing=True)}
    assert labeled == {f"{number}.png" for number in range(12)} - {"2.png", "5.png"}


def test_images_of_one_name_are_refused(tmp_path: Path, corpus: Path) -> None:
    other = write_nih(tmp_path / "other", 1)
    write_png(other / "images" / "0.png", np.zeros((8, 8), dtype=np.uint8))
    checkpoint = write_checkpoint(tmp_path / "teacher")
    with pytest.raises(CorpusError, match="two images have the same name"):
        main([str(corpus), str(other), "--checkpoint", str(checkpoint), "--output", str(tmp_path / "t.csv")])
