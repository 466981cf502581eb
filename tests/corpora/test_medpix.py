"""MedPix 2.0 with one study per image, or one study per case."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError

HEADING = "image,case_id,split,caption,history,findings,diagnosis\n"
TEMPLATE = "Replace this - DESCRIPTION OF THE IMAGE OR FINDINGS."


def write_tables(folder: Path, train: str, val: str = "images/9.jpg,C9,dev,Mass.,Pain.,A mass.,Cyst\n") -> Path:
    (folder / "images").mkdir()
    for number in (1, 2, 3, 9):
        (folder / "images" / f"{number}.jpg").touch()
    (folder / "train.csv").write_text(HEADING + train, encoding="utf-8")
    (folder / "val.csv").write_text(HEADING + val, encoding="utf-8")
    return folder


TRAIN = (
    f"images/1.jpg,C1,train,{TEMPLATE},Fever.,Two nodules.,Sarcoid\n"
    "images/2.jpg,C2,train,Clear.,N/A,,Normal\n"
    "images/3.jpg,C1,train,A nodule.,Fever.,Two nodules.,Sarcoid\n"
)


def test_one_study_per_image_with_its_caption(tmp_path: Path) -> None:
    corpus = read_corpus(write_tables(tmp_path, TRAIN))
    assert corpus["study_id"][:] == ["1", "2", "3", "9"]
    assert corpus["patient_id"][:] == ["C1", "C2", "C1", "C9"]
    assert corpus["findings"][:] == ["", "Clear.", "A nodule.", "Mass."]
    assert corpus["indication"][:] == ["Fever.", "", "Fever.", "Pain."]
    assert corpus["impression"][:] == [""] * 4
    assert corpus["split"][:] == ["train", "train", "train", "val"]
    assert corpus["images"][0] == [str(tmp_path / "images" / "1.jpg")]
    assert corpus["view_positions"][0] == ["UNKNOWN"]


def test_one_study_per_case_with_all_its_images(tmp_path: Path) -> None:
    corpus = read_corpus(write_tables(tmp_path, TRAIN), layout="medpix-cases")
    cases = {study["study_id"]: study for study in corpus}
    assert set(cases) == {"C1", "C2", "C9"}
    assert [Path(image).name for image in cases["C1"]["images"]] == ["1.jpg", "3.jpg"]
    assert (cases["C1"]["findings"], cases["C1"]["impression"]) == ("Two nodules.", "Sarcoid")


SERIES_HEADING = HEADING.replace("\n", ",type,plane\n")


def series_row(image: int, case: str, caption: str, kind: str, plane: str = "Axial") -> str:
    return f"images/{image}.jpg,{case},train,{caption},Fever.,Two nodules.,Sarcoid,{kind},{plane}\n"


def read_series(folder: Path, rows: list[str], images: int = 9) -> dict[str, list[str]]:
    """Return the names of the images of each series."""
    (folder / "images").mkdir(parents=True)
    for number in range(1, images + 1):
        (folder / "images" / f"{number}.jpg").touch()
    (folder / "train.csv").write_text(SERIES_HEADING + "".join(rows), encoding="utf-8")
    corpus = read_corpus(folder, layout="medpix-series")
    return {study["study_id"]: [Path(image).stem for image in study["images"]] for study in corpus}


def test_one_study_per_case_modality_and_caption(tmp_path: Path) -> None:
    """The rows of a series need not be neighbors; another case, modality or caption is another series."""
    rows = [
        series_row(1, "C1", "A nodule.", "CT"),
        series_row(2, "C1", "A cyst.", "CT"),
        series_row(3, "C1", "A nodule.", "CT"),
        series_row(4, "C1", "A nodule.", "MR"),
        series_row(5, "C2", "A nodule.", "CT"),
        series_row(6, "C1", "A nodule.", "CT"),
    ]
    found = read_series(tmp_path, rows)
    assert found == {"1": ["1", "3", "6"], "2": ["2"], "4": ["4"], "5": ["5"]}


def test_images_without_a_caption_are_studies_by_themselves(tmp_path: Path) -> None:
    rows = [series_row(1, "C1", TEMPLATE, "CT"), series_row(2, "C1", TEMPLATE, "CT"), series_row(3, "C1", "", "CT")]
    assert read_series(tmp_path, rows) == {"1": ["1"], "2": ["2"], "3": ["3"]}


def test_a_series_has_at_most_eight_images_at_even_distances(tmp_path: Path) -> None:
    def series(images: int) -> list[str]:
        rows = [series_row(number, "C1", "A nodule.", "CT") for number in range(1, images + 1)]
        return read_series(tmp_path / str(images), rows, images)["1"]

    assert series(8) == [str(number) for number in range(1, 9)]
    assert series(15) == ["1", "3", "5", "7", "9", "11", "13", "15"]
    assert series(9) == ["1", "2", "3", "4", "6", "7", "8", "9"]


def test_the_plane_of_a_series_is_that_of_all_its_images(tmp_path: Path) -> None:
    rows = [
        series_row(1, "C1", "A nodule.", "CT"),
        series_row(2, "C1", "A nodule.", "CT", "Coronal"),
        series_row(3, "C2", "A nodule.", "CT", "Coronal"),
        series_row(4, "C2", "A nodule.", "CT", "Coronal"),
    ]
    read_series(tmp_path, rows)
    corpus = {study["study_id"]: study for study in read_corpus(tmp_path, layout="medpix-series")}
    assert {name: (study["modality"], study["plane"]) for name, study in corpus.items()} == {
        "1": ("CT", ""),
        "3": ("CT", "coronal"),
    }


def test_one_table_by_itself(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, TRAIN)
    assert read_corpus(folder / "val.csv")["split"][:] == ["val"]


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("In progress.", ""),
        ("Figure 3", ""),
        ("CT image 5", ""),
        ("MRI Images", ""),
        ("n/a", ""),
        ("Replaced hip.", "Replaced hip."),
        ("Figure 3 shows a cyst.", "Figure 3 shows a cyst."),
        ("pelvis", "pelvis"),
    ],
)
def test_placeholder_captions_are_empty(tmp_path: Path, caption: str, kept: str) -> None:
    write_tables(tmp_path, f"images/1.jpg,C1,train,{caption},,,\n")
    assert read_corpus(tmp_path)[0]["findings"] == kept


def test_contradicting_rows_of_a_case_and_missing_ids_are_refused(tmp_path: Path) -> None:
    write_tables(tmp_path, TRAIN + "images/2.jpg,C1,train,x,Cough.,Two nodules.,Sarcoid\n")
    with pytest.raises(
        CorpusError,
        match=r"the row of images/2\.jpg and an earlier row .* differ in indication",
    ):
        read_corpus(tmp_path, layout="medpix-cases")
    (tmp_path / "train.csv").write_text(HEADING + "images/1.jpg,,train,x,,,\n")
    with pytest.raises(CorpusError, match=r"train\.csv: a row has no image or no case_id"):
        read_corpus(tmp_path)
    (tmp_path / "train.csv").write_text(HEADING + "images/9.jpg,C9,train,x,,,\n")
    with pytest.raises(CorpusError, match="1 study ids occur more than once"):
        read_corpus(tmp_path)


@pytest.mark.realdata
def test_the_1850_images_of_602_cases(shared: Path) -> None:
    images = read_corpus(shared / "data" / "medpix2")
    assert Counter(images["split"]) == {"train": 1653, "val": 197}
    assert len(set(images["patient_id"])) == 535 + 67
    assert not any("Replace this" in caption for caption in images["findings"])
    cases = read_corpus(shared / "data" / "medpix2", layout="medpix-cases")
    assert Counter(cases["split"]) == {"train": 535, "val": 67}
    assert sum(map(len, cases["images"])) == 1850
    assert max(map(len, cases["images"])) == 31
    series = read_corpus(shared / "data" / "medpix2", layout="medpix-series")
    assert Counter(series["split"]) == {"train": 1126, "val": 136}
    assert max(map(len, series["images"])) == 8
    assert set(series["patient_id"]) == set(cases["patient_id"])


def test_modality_plane_and_body_part_of_optional_columns(tmp_path: Path) -> None:
    rows = [
        ("1", "C1", "CT", "Axial", "Thorax"),
        ("2", "C1", "MR", "Transverse", "Thorax"),
        ("3", "C2", "MR", "3D Reconstruction", "Spine and Muscles"),
    ]
    lines = [
        f"images/{image}.jpg,{case},train,A.,B.,C.,D,{kind},{plane},{place}" for image, case, kind, plane, place in rows
    ]
    folder = write_tables(tmp_path, TRAIN)
    heading = HEADING.replace("\n", ",type,plane,location_category\n")
    (folder / "train.csv").write_text(heading + "\n".join(lines), encoding="utf-8")
    images, cases = (read_corpus(folder / "train.csv", layout=layout) for layout in ("medpix", "medpix-cases"))
    attributes = [(row["modality"], row["plane"], row["body_part"]) for row in images]
    assert attributes == [("CT", "axial", "chest"), ("MR", "axial", "chest"), ("MR", "", "musculoskeletal")]
    attributes = [(row["modality"], row["plane"], row["body_part"]) for row in cases]
    assert attributes == [("", "axial", "chest"), ("MR", "", "musculoskeletal")]
