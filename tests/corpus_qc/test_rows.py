"""Manifests are read back as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_gen.corpora import read_corpus
from report_gen.corpus_qc import new_manifest_path, rows_of, write_manifest
from report_gen.errors import OutputError
from report_gen.labeling import chest_xray
from tests.corpus_qc.test_check import corpus

FINDINGS = chest_xray().findings


def test_every_column_is_read_back(tmp_path: Path) -> None:
    labels = [1.0, 0.0, None] + [None] * 14
    soft = [None, 0.1, 1 / 3] + [None] * 14
    dataset = corpus(
        {
            "patient_id": "p",
            "images": [str(tmp_path / "in" / "a;b.png"), "/elsewhere/c.png", str(tmp_path / "d.png")],
            "view_positions": ["PA", "LATERAL", "UNKNOWN"],
            "offsets_mm": [0.0, -2.5, None],
            "offsets_seconds": [1 / 3, 86_400.0, 0.0],
            "indication": 'Cough, "dry";\u2028fever.',
            "findings": "Überall klar.\nZweite Zeile.",
            "labels": labels,
            "soft_labels": soft,
            "adjudicated_findings": ["No Finding"],
            "finding_boxes": [
                {"finding": "Edema", "left": 0.1, "top": 0.25, "right": 1 / 3, "bottom": 1.0, "image": 2},
            ],
            "source": "a hospital",
            "stored_px": 512,
            "modality": "CT",
            "plane": "axial",
            "body_part": "left leg, cast off",
            "split": "val",
        },
        {"impression": "FINDINGS: not a heading.", "split": "test"},
        {},
    )
    path = new_manifest_path(tmp_path / "new")
    write_manifest(path, rows_of(dataset))
    assert list(read_corpus(path, require_images=None)) == list(dataset)


def test_images_below_the_folder_are_named_relative_to_it(tmp_path: Path) -> None:
    dataset = corpus({"images": [str(tmp_path / "in" / "a.png"), "/elsewhere/c.png"], "view_positions": ["PA", "PA"]})
    (tmp_path / "link").symlink_to(tmp_path)
    write_manifest(tmp_path / "link" / "manifest.jsonl", rows_of(dataset))
    row = json.loads((tmp_path / "manifest.jsonl").read_text())
    assert row["images"] == ["in/a.png", "/elsewhere/c.png"]
    assert not set(FINDINGS) & set(row)


def test_an_existing_manifest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text("mine")
    with pytest.raises(OutputError, match=r"manifest\.jsonl: the file exists; choose another folder"):
        new_manifest_path(tmp_path)


def test_an_exception_in_the_rows_leaves_no_file(tmp_path: Path) -> None:
    def rows():
        yield corpus({})[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(tmp_path / "manifest.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "layout"), [("nih_cxr", "nih"), ("iu_xray", "indiana"), ("iu_xray", "r2gen")])
def test_real_corpora_are_read_back(shared: Path, tmp_path: Path, name: str, layout: str) -> None:
    dataset = read_corpus(shared / "data" / name, layout=layout, require_images=None)
    write_manifest(tmp_path / "manifest.jsonl", rows_of(dataset))
    assert list(read_corpus(tmp_path, require_images=None)) == list(dataset)
