"""The Indiana University collection in the form of Kaggle."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "indiana_reports.csv").write_text(
        "uid,MeSH,indication,comparison,findings,impression\n"
        "1,normal,Cough.,None.,Clear.,Normal.\n"
        "12,normal,,,,Stable.\n"
    )
    (tmp_path / "indiana_projections.csv").write_text(
        "uid,filename,projection\n1,1_a.png,Frontal\n1,1_b.png,Lateral\n12,12_a.png,Frontal\n"
    )
    return tmp_path


def test_without_images_the_studies_are_texts(folder: Path) -> None:
    first, second = read_corpus(folder)
    assert (first["images"], second["images"]) == ([], [])
    assert (first["indication"], first["comparison"]) == ("Cough.", "None.")
    assert (first["findings"], first["impression"]) == ("Clear.", "Normal.")
    assert (second["findings"], second["impression"], second["split"]) == ("", "Stable.", "train")


@pytest.mark.parametrize("place", ["images", "images/images_normalized"])
def test_only_existing_images_are_used(folder: Path, place: str) -> None:
    (folder / place).mkdir(parents=True)
    (folder / place / "1_b.png").touch()
    first, second = read_corpus(folder)
    assert (first["images"], first["view_positions"]) == ([str(folder / place / "1_b.png")], ["LATERAL"])
    assert second["images"] == []


def test_the_split_is_that_of_the_annotation(folder: Path) -> None:
    studies = [{"id": "CXR12_IM-0012", "report": "x", "image_path": []}]
    (folder / "annotation.json").write_text(json.dumps({"train": [], "val": [], "test": studies}))
    assert read_corpus(folder, layout="indiana")["split"][:] == ["train", "test"]


def test_a_spreadsheet_error_is_an_empty_text(folder: Path) -> None:
    (folder / "indiana_reports.csv").write_text("uid,indication,comparison,findings,impression\n1,#NAME?,,Clear.,\n")
    assert read_corpus(folder)[0]["indication"] == ""


def test_a_missing_column_is_named(folder: Path) -> None:
    (folder / "indiana_reports.csv").write_text("uid,findings,impression\n1,a,b\n")
    with pytest.raises(CorpusError, match=r"indiana_reports\.csv: no column 'indication'"):
        read_corpus(folder)


@pytest.mark.realdata
def test_the_whole_collection(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "iu_xray", layout="indiana")
    assert len(corpus) == 3851
    assert sum(map(bool, corpus["findings"])) == 3337
    assert sum(map(bool, corpus["impression"])) == 3820
    assert Counter(corpus["split"]) == {"train": 3851 - 296 - 590, "val": 296, "test": 590}
