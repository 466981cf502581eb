"""The R2Gen layout."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError


def test_studies_of_all_splits_with_their_images(tmp_path: Path) -> None:
    (tmp_path / "images" / "s1").mkdir(parents=True)
    for name in ("0.png", "1.png"):
        (tmp_path / "images" / "s1" / name).touch()
    train = {"id": "s1", "subject_id": 12, "report": " Clear. ", "image_path": ["s1/0.png", "s1/1.png"]}
    test = {"id": "s2", "report": "Dim.", "image_path": []}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [train], "val": [], "test": [test]}))
    first, second = read_corpus(tmp_path)
    assert first["images"] == [str(tmp_path / "images" / "s1" / name) for name in ("0.png", "1.png")]
    assert first["view_positions"] == ["UNKNOWN", "UNKNOWN"]
    assert (first["study_id"], first["patient_id"], first["findings"]) == ("s1", "12", "Clear.")
    assert (second["split"], second["images"]) == ("test", [])


@pytest.mark.parametrize(
    ("study_id", "patient_id"),
    [("CXR12_IM-0012-1001", "12"), ("CXR12", "12"), ("02aa804e-bde0afdd", ""), ("XCXR1_IM", "")],
)
def test_the_patient_of_an_indiana_study_is_in_its_id(tmp_path: Path, study_id: str, patient_id: str) -> None:
    entry = {"id": study_id, "report": "Clear.", "image_path": []}
    (tmp_path / "annotation.json").write_text(json.dumps({"train": [entry]}))
    assert read_corpus(tmp_path)["patient_id"][:] == [patient_id]


def test_an_indiana_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    entries = [{"id": f"CXR12_IM-{number}", "report": "Clear.", "image_path": []} for number in ("0001", "0002")]
    (tmp_path / "annotation.json").write_text(json.dumps({"train": entries[:1], "test": entries[1:]}))
    with pytest.raises(CorpusError, match="1 patients have studies in more than one split"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "invalid JSON near line 1"),
        ("{}", "not an R2Gen annotation"),
        ('{"train": {}}', "'train' must be a list"),
        ('{"train": [{"report": "x"}]}', "entry 0 of 'train' has no 'id'"),
        ('{"train": [{"id": "1", "report": null, "image_path": []}]}', "lacks a text 'report'"),
        ('{"train": [{"id": "1", "report": "x", "image_path": "0.png"}]}', "list of names 'image_path'"),
        ('{"train": [], "val": []}', "no studies"),
        (
            '{"train": [{"id": "1", "report": "x", "image_path": []}],'
            ' "test": [{"id": "1", "report": "x", "image_path": []}]}',
            "1 study ids occur more than once",
        ),
        ('{"train": ', "invalid JSON"),
        ('{"train": [{"id": null, "report": "x", "image_path": []}]}', "entry 0 of 'train' has no 'id', or"),
        ('{"train": [{"id": ["1"], "report": "x", "image_path": []}]}', "neither a text nor a number"),
        ('{"train": [{"id": 1, "subject_id": {}, "report": "x", "image_path": []}]}', "neither a text nor a number"),
        ('{"train": [], "train": [{"id": "1", "report": "x", "image_path": []}]}', "'train' occurs twice"),
        ('{"train": [{"id": "1", "id": "2", "report": "x", "image_path": []}]}', "the key 'id' occurs twice"),
        ('{"train": [' + "[" * 100_000, "invalid JSON near line 1"),
        ('{"train": [{"id":' + '{"id":' * 100_000, "invalid JSON near line 1"),
        ('{"train": ' + '{"id":' * 100_000, "invalid JSON near line 1"),
    ],
)
def test_faulty_annotations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "annotation.json").write_text(text)
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path)


@pytest.mark.realdata
def test_the_published_indiana_split(shared: Path) -> None:
    annotation = shared / "data" / "iu_xray" / "annotation.json"
    corpus = read_corpus(annotation, require_images=False)
    assert Counter(corpus["split"]) == {"train": 2069, "val": 296, "test": 590}
    with pytest.raises(CorpusError, match="5910 of 5910 images are missing"):
        read_corpus(annotation)
