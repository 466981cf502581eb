"""The manifest layout: synonyms, joined rows, complete reports, labels."""

from __future__ import annotations

import json
from math import nan
from pathlib import Path

import pytest

from report_gen.corpora import offsets_of_row, own_and_prior_images, read_corpus
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray

FINDINGS = chest_xray().findings


def write_csv(folder: Path, text: str) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        (folder / name).touch()
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_of_one_study_are_joined_in_order(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path,
        "image,uid,projection,findings,impression\n"
        "b.png,S1,Lateral,Clear.,\n"
        "c.png,S2,PA,Dim.,Dim.\n"
        "a.png,S1,Frontal,Clear.,Normal.\n",
    )
    second, first = read_corpus(path)  # each at the place of its last row
    assert first["study_id"] == "S1"
    assert first["images"] == [str(tmp_path / "b.png"), str(tmp_path / "a.png")]
    assert first["view_positions"] == ["LATERAL", "FRONTAL"]
    assert (first["findings"], first["impression"]) == ("Clear.", "Normal.")
    assert (second["view_positions"], second["split"]) == (["PA"], "train")


def test_a_list_of_images_with_one_view_for_all_or_none(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "ID,image_paths,view,findings\n1,a.png; b.png,AP supine,x\n2,c.png,,x\n")
    first, second = read_corpus(tmp_path)
    assert first["images"] == [str(path.parent / "a.png"), str(path.parent / "b.png")]
    assert first["view_positions"] == ["AP", "AP"]
    assert second["view_positions"] == ["UNKNOWN"]


def test_a_complete_report_is_split_at_its_headings(tmp_path: Path) -> None:
    write_csv(tmp_path, 'id,report\n1,"FINDINGS:\nClear lungs.\n\nIMPRESSION: Normal."\n2,Clear lungs.\n')
    cut, uncut = read_corpus(tmp_path)
    assert (cut["findings"], cut["impression"]) == ("Clear lungs.", "Normal.")
    assert (uncut["findings"], uncut["impression"]) == ("Clear lungs.", "")


def test_labels_from_columns_named_after_findings(tmp_path: Path) -> None:
    row = {"id": "1", "Edema": 1, "pneumonia": "0.0", "Fracture": -1, "Pneumothorax": None, "No Finding": False}
    (tmp_path / "manifest.json").write_text(json.dumps([row]))
    labels = dict(zip(FINDINGS, read_corpus(tmp_path)[0]["labels"], strict=True))
    assert {name: label for name, label in labels.items() if label is not None} == {
        "No Finding": 0,
        "Edema": 1,
        "Pneumonia": 0,
    }


def test_soft_labels(tmp_path: Path) -> None:
    write_csv(tmp_path, "id,findings,soft Edema\n1,x,0.25\n2,x,\n")
    corpus = read_corpus(tmp_path)
    assert corpus["soft_labels"][0][FINDINGS.index("Edema")] == 0.25
    assert corpus["soft_labels"][1] == [None] * len(FINDINGS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("id,image\n1,a.png\n", "no study has a report or a label; name the column of the reports"),
        ("id,findings\n1,x\n,y\n", "row 2 has no study id"),
        ("id,findings,images,views\n1,x,a.png;b.png;c.png,PA;AP\n", "3 images and 2 views"),
        ("id,findings\n1,x\n1,y\n", "row 2 and an earlier row of the same study differ in findings"),
        ("id,findings,split\n1,x,train\n1,x,test\n", "row 2 and an earlier row of the same study differ in split"),
        ("id,edema\n1,0.5\n", "label of a finding must be 1, 0, -1 or empty"),
        ("id,edema\n1,yes\n", "label of a finding must be 1, 0, -1 or empty"),
        ("id,findings,soft edema\n1,x,1.5\n", "soft label of a finding must be a number from 0 to 1, or empty"),
        ("id,image,findings,offsets_mm\n1,a.png;b.png,x,5\n", "'offsets_mm' needs a number .* of the 2 images"),
        ("id,image,findings,offsets_mm\n1,a.png,x,near\n", "'offsets_mm' needs a number from -100000 to 100000"),
        ("id,image,findings,offsets_days\n1,a.png,x,inf\n", "'offsets_days' needs a number"),
        ("id,image,findings,offsets_seconds\n1,a.png,x,1700000000\n", "'offsets_seconds' needs a number"),
        ("id,findings,offsets_seconds\n1,x,5\n", "'offsets_seconds' needs a number .* of the 0 images"),
        ("id,image,findings,is_prior\n1,a.png;b.png,x,1\n", "'is_prior' needs 1 or 0 for each image"),
        ("id,image,findings,is_prior\n1,a.png;b.png,x,0;2\n", "'is_prior' needs 1 or 0 for each image"),
        ("id,image,findings,is_prior\n1,a.png;b.png,x,1;1\n", "1 studies have images of the prior study only; add"),
        ("id,findings,soft edema\n1,x,high\n", "soft label of a finding must be a number from 0 to 1, or empty"),
    ],
)
def test_faulty_rows_are_refused_with_their_number(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(CorpusError, match=f"manifest.csv: .*{message}"):
        read_corpus(write_csv(tmp_path, rows))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "1", "findings": ["x"]}, "'findings' must be a text"),
        ({"id": "1", "findings": "x", "images": [1]}, "'images' is not a list of texts"),
        ({"id": "1", "findings": "x", "images": {"a": 1}}, "'images' is not a list of texts"),
    ],
)
def test_values_of_a_wrong_type_are_refused(tmp_path: Path, row: dict[str, object], message: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row))
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path)


@pytest.mark.realdata
def test_the_five_indiana_studies_with_images(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "iu_xray" / "reports.csv")
    assert [len(images) for images in corpus["images"]] == [2, 1, 1, 2, 2]
    assert all(Path(image).is_file() for images in corpus["images"] for image in images)
    assert corpus["view_positions"][0] == ["FRONTAL", "LATERAL"]
    assert all(corpus["findings"]) or all(corpus["impression"])


def test_attributes_in_dicom_terms_or_other_words(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("id,findings,Modality,plane,body_part\n1,A.,mri,Axial,left paw\n2,B.,,,\n", encoding="utf-8")
    attributes = [(row["modality"], row["plane"], row["body_part"]) for row in read_corpus(path)]
    assert attributes == [("MR", "axial", "left paw"), ("", "", "")]


def test_offsets_of_the_images_in_lists_and_in_rows_of_one_image(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    lines = [
        {"id": "1", "images": ["a.png", "b.png"], "offsets_mm": [0, -2.5], "offsets_seconds": [None, 12.5]},
        {"id": "2", "images": ["a.png"]},
        {"id": "3", "images": ["a.png"], "offsets_days": 0},
        {"id": "3", "images": ["b.png"], "offsets_days": -400},
        {"id": "4", "images": ["a.png"]},
        {"id": "4", "images": ["b.png"], "offsets_mm": [3]},
        {"id": "5", "images": ["a.png"]},
        {"id": "5", "images": ["b.png"]},
    ]
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(line | {"findings": "x"}) + "\n" for line in lines))
    corpus = read_corpus(path)
    assert corpus["offsets_mm"][:] == [[0, -2.5], [], [], [None, 3], []]
    assert corpus["offsets_seconds"][:] == [[None, 12.5], [], [], [], []]
    assert corpus["offsets_days"][:] == [[], [], [0, -400], [], []]
    first, second, third, fourth, _ = map(offsets_of_row, corpus)
    assert list(map(list, first)) == [pytest.approx([0, nan, 0], nan_ok=True), [-2.5, 12.5, 0]]
    assert second == (None,)
    assert third[1] is not None
    assert third[1].days == -400
    assert fourth[0] is None


def test_prior_images_in_lists_and_in_rows_of_one_image(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    lines = [
        {"id": "1", "images": ["b.png", "a.png"], "is_prior": [True, False], "prior_report": "Clear lungs."},
        {"id": "2", "images": ["a.png"]},
        {"id": "2", "images": ["b.png"], "is_prior": 1, "Study Description": "Chest PA"},
        {"id": "3", "images": ["a.png", "b.png"], "is_prior": "0;0", "admitting_diagnoses": "Fever"},
    ]
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(line | {"findings": "x"}) + "\n" for line in lines))
    corpus = read_corpus(path)
    assert corpus["is_prior"][:] == [[True, False], [None, True], []]
    assert list(map(own_and_prior_images, corpus)) == [((1,), (0,)), ((0,), (1,)), ((0, 1), ())]
    assert corpus["prior_report"][:] == ["Clear lungs.", "", ""]
    assert corpus["study_description"][:] == ["", "Chest PA", ""]
    assert corpus["admitting_diagnoses"][:] == ["", "", "Fever"]


def test_offsets_in_the_cells_of_a_table(tmp_path: Path) -> None:
    write_csv(tmp_path, "id,images,findings,offsets_mm\n1,a.png;b.png;c.png,x,0;;7.5\n2,a.png,x,\n")
    assert read_corpus(tmp_path)["offsets_mm"][:] == [[0, None, 7.5], []]


def test_a_missing_image_takes_its_offset_with_it(tmp_path: Path) -> None:
    path = write_csv(tmp_path, "id,images,findings,offsets_mm\n1,a.png;no.png;c.png,x,0;5;7.5\n")
    (study,) = read_corpus(path, require_images=False)
    assert (len(study["images"]), study["offsets_mm"]) == (2, [0, 7.5])
