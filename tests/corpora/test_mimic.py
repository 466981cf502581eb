"""MIMIC-CXR and MIMIC-CXR-JPG, on files of the same format: access to the real data is restricted."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray

FINDINGS = chest_xray().findings
CHEXPERT = chest_xray().subsets["chexpert"]

REPORT = """                                 FINAL REPORT
 INDICATION:  ___M with cough.

 FINDINGS: The lungs are clear.

 IMPRESSION: No pneumonia.
"""
RECORDS = [
    ("2a", "10000001", "50000001", "train", "PA"),
    ("1b", "10000001", "50000001", "train", "LATERAL"),
    ("3c", "10000002", "50000003", "validate", ""),
    ("4d", "10000001", "50000002", "train", "LL"),
]


def write_table(path: Path, *rows: tuple[str, ...]) -> None:
    text = "".join(",".join(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def write_corpus(folder: Path, suffix: str, *, packed: str = ".gz", texts: bool = True) -> Path:
    for image, subject, study, _, _ in RECORDS:
        place = folder / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{study}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{image}{suffix}").touch()
        if texts:
            place.with_suffix(".txt").write_text(REPORT.replace("cough", f"cough {study}"))
    ids = [(image, subject, study) for image, subject, study, _, _ in RECORDS]
    if suffix == ".dcm":
        rows = [(subject, study, image, f"files/x/{image}.dcm") for image, subject, study in ids]
        write_table(folder / f"cxr-record-list.csv{packed}", ("subject_id", "study_id", "dicom_id", "path"), *rows)
    else:
        split = [(image, study, subject, split) for image, subject, study, split, _ in RECORDS]
        write_table(
            folder / f"mimic-cxr-2.0.0-split.csv{packed}", ("dicom_id", "study_id", "subject_id", "split"), *split
        )
        views = [(image, subject, study, "CHEST (PA AND LAT)", view) for image, subject, study, _, view in RECORDS]
        heading = ("dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition")
        write_table(folder / f"mimic-cxr-2.0.0-metadata.csv{packed}", heading, *views)
    return folder


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_the_studies_of_mimic_cxr_jpg(tmp_path: Path, packed: str) -> None:
    corpus = read_corpus(write_corpus(tmp_path, ".jpg", packed=packed))
    assert corpus["study_id"][:] == ["50000001", "50000002", "50000003"]
    assert corpus["patient_id"][:] == ["10000001", "10000001", "10000002"]
    assert corpus["split"][:] == ["train", "train", "val"]
    assert corpus["view_positions"][:] == [["LATERAL", "PA"], ["LATERAL"], ["UNKNOWN"]]
    folder = tmp_path / "files" / "p10" / "p10000001" / "s50000001"
    assert corpus[0]["images"] == [str(folder / "1b.jpg"), str(folder / "2a.jpg")]
    assert corpus[0]["indication"] == "___M with cough 50000001."
    assert (corpus[0]["findings"], corpus[0]["impression"]) == ("The lungs are clear.", "No pneumonia.")
    assert corpus[0]["labels"] == [None] * 17


def test_the_studies_of_mimic_cxr_are_train_without_a_table_of_splits(tmp_path: Path) -> None:
    corpus = read_corpus(write_corpus(tmp_path, ".dcm"))
    assert [len(images) for images in corpus["images"]] == [2, 1, 1]
    assert corpus[0]["images"][0].endswith("/s50000001/1b.dcm")
    assert set(corpus["split"]) == {"train"}
    write_corpus(tmp_path / "other", ".jpg")
    for table in (tmp_path / "other").glob("*.gz"):
        table.rename(tmp_path / table.name)
    with_tables = read_corpus(tmp_path)
    assert with_tables["split"][:] == ["train", "train", "val"]
    assert with_tables["images"][:] == corpus["images"][:]


def test_labels_are_those_of_chexpert_without_the_uncertain(tmp_path: Path) -> None:
    write_corpus(tmp_path, ".jpg", texts=False)
    names = sorted(CHEXPERT)
    row = {"Edema": "1.0", "Pneumonia": "0.0", "Fracture": "-1.0"}
    values = ("10000001", "50000001", *(row.get(name, "") for name in names))
    write_table(tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz", ("subject_id", "study_id", *names), values)
    corpus = read_corpus(tmp_path)
    labels = dict(zip(FINDINGS, corpus[0]["labels"], strict=True))
    assert {name: label for name, label in labels.items() if label is not None} == {"Edema": 1, "Pneumonia": 0}
    assert corpus[1]["labels"] == [None] * 17


@pytest.mark.parametrize("place", ["reports", "mimic-cxr-reports", "zip", "inside"])
def test_texts_are_found_in_every_folder_and_in_the_archive(tmp_path: Path, place: str) -> None:
    write_corpus(tmp_path, ".jpg", texts=False)
    name = "files/p10/p10000002/s50000003"
    if place == "zip":
        with zipfile.ZipFile(tmp_path / "mimic-cxr-reports.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{name}.txt", REPORT)
    else:
        file = tmp_path / name / "s50000003.txt" if place == "inside" else tmp_path / place / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(REPORT)
    assert read_corpus(tmp_path)["impression"][:] == ["", "", "No pneumonia."]


def test_both_kinds_of_images_in_one_folder_are_ambiguous(tmp_path: Path) -> None:
    write_corpus(write_corpus(tmp_path, ".jpg"), ".dcm")
    with pytest.raises(CorpusError, match="mimic-cxr or mimic-cxr-jpg; choose"):
        read_corpus(tmp_path)
    assert read_corpus(tmp_path, layout="mimic-cxr")[2]["images"][0].endswith("3c.dcm")


SPLIT = "mimic-cxr-2.0.0-split.csv"
METADATA = "mimic-cxr-2.0.0-metadata.csv"


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        (METADATA, "dicom_id,study_id\n1b,50000001\n", f"{METADATA}: differs from the table of PhysioNet .*subject_id"),
        (METADATA, "\0\xff", f"{METADATA}: differs from the table of PhysioNet"),
        (METADATA, "", f"{METADATA}: differs from the table of PhysioNet"),
        (
            METADATA,
            "dicom_id,subject_id,study_id,ViewPosition\n1b,../..,1,PA\n",
            "a subject_id does not have the format of PhysioNet",
        ),
        (
            METADATA,
            "dicom_id,subject_id,study_id,ViewPosition\n../1b,10,1,PA\n",
            "a dicom_id does not have the format of PhysioNet",
        ),
        (
            METADATA,
            "dicom_id,subject_id,study_id,ViewPosition\n,10,1,PA\n",
            "a dicom_id does not have the format of PhysioNet",
        ),
        (
            METADATA,
            "dicom_id,subject_id,study_id,ViewPosition\n1,10,1,PA\n1,10,1,PA\n",
            "a dicom_id occurs more than once",
        ),
        (SPLIT, "dicom_id,split\n1b,train\n1b,test\n", f"{SPLIT}: a dicom_id occurs more than once"),
        (SPLIT, "dicom_id,split\n1b,train\n", f"{SPLIT}: 3 images have no split"),
        (SPLIT, "dicom_id,split\n1b,test\n2a,train\n3c,test\n4d,test\n", "1 studies are in more than one split"),
        (SPLIT, "dicom_id,split\n1b,dev2\n2a,dev2\n3c,test\n4d,test\n", "unknown split 'dev2'"),
        (SPLIT, "dicom_id,split\n1b,train\n2a,train\n3c,test\n4d,test\n", "1 patients have studies in more than one"),
    ],
)
def test_faulty_tables_are_refused_with_their_name(tmp_path: Path, table: str, text: str, message: str) -> None:
    write_corpus(tmp_path, ".jpg", packed="")
    (tmp_path / table).write_text(text, encoding="latin-1")
    with pytest.raises(CorpusError, match=message):
        read_corpus(tmp_path)


def test_a_truncated_compressed_table_is_refused(tmp_path: Path) -> None:
    table = write_corpus(tmp_path, ".jpg") / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(CorpusError, match=r"metadata\.csv\.gz: differs from the table of PhysioNet"):
        read_corpus(tmp_path)


def test_a_corpus_without_texts_and_labels_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path, ".jpg", texts=False)
    with pytest.raises(CorpusError, match=r"put mimic-cxr-reports\.zip or its content beside 'files'"):
        read_corpus(tmp_path)
    (tmp_path / "mimic-cxr-reports.zip").write_bytes(b"PK\3\4")
    with pytest.raises(CorpusError, match=r"the \.zip archive is damaged"):
        read_corpus(tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_archive_of_reports_is_refused(tmp_path: Path, method: int) -> None:
    write_corpus(tmp_path, ".dcm", texts=False)
    path = tmp_path / "mimic-cxr-reports.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for subject, study in dict.fromkeys(record[1:3] for record in RECORDS):
            archive.writestr(f"files/p{subject[:2]}/p{subject}/s{study}.txt", REPORT * 3)
    whole = path.read_bytes()
    directory = whole.index(b"PK\1\2")
    version, data = directory + 6, 30 + int.from_bytes(whole[26:28], "little")
    for place, broken in ((version, b"\xff"), (data, b"\xff" * 20), (directory, b"PK\1\1")):
        path.write_bytes(whole[:place] + broken + whole[place + len(broken) :])
        with pytest.raises(CorpusError, match=r"mimic-cxr-reports\.zip: .*; download"):
            read_corpus(tmp_path, require_images=False)


def test_a_corpus_without_a_table_of_images_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path, ".jpg")
    for table in tmp_path.glob("*.gz"):
        table.unlink()
    with pytest.raises(CorpusError, match=r"no table of the images found; download mimic-cxr-2\.\*-metadata\.csv\.gz"):
        read_corpus(tmp_path)
