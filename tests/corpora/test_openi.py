"""The Indiana University collection in the form of Open-i, and its agreement with the other two layouts."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from report_gen.corpora import openi, read_corpus
from report_gen.errors import CorpusError

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText>
<AbstractText Label="INDICATION"> Cough &amp; fever </AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
<AbstractText Label="IMPRESSION"/>
</Abstract></Article></MedlineCitation>
<parentImage id="CXR{uid}_IM-0001-2001"/><parentImage id="CXR{uid}_IM-0001-1001"/></eCitation>"""


def report(uid: int, findings: str = "Clear.") -> str:
    return REPORT.format(uid=uid, findings=findings)


def write_archive(path: Path, files: dict[str, str], *, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(text.encode()) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd"
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def write_folder(folder: Path, text: str) -> Path:
    (folder / "ecgen-radiology").mkdir()
    (folder / "ecgen-radiology" / "1.xml").write_text(text, encoding="utf-8")
    return folder


def test_the_archive_and_the_unpacked_folder_give_the_same_studies(tmp_path: Path) -> None:
    packed, unpacked = tmp_path / "packed", tmp_path / "unpacked"
    packed.mkdir()
    unpacked.mkdir()
    archive = write_archive(packed / "NLMCXR_reports.tgz", {f"ecgen-radiology/{n}.xml": report(n) for n in (1, 10, 2)})
    shutil.unpack_archive(archive, unpacked, filter="data")
    assert read_corpus(packed)[:] == read_corpus(unpacked)[:] == read_corpus(archive)[:]
    assert read_corpus(unpacked / "ecgen-radiology")[:] == read_corpus(packed)[:]
    study = read_corpus(packed)[0]
    assert (study["study_id"], study["patient_id"], study["split"]) == ("CXR1", "1", "train")
    assert (study["indication"], study["comparison"]) == ("Cough & fever", "None.")
    assert (study["findings"], study["impression"], study["images"]) == ("Clear.", "", [])


@pytest.mark.parametrize("place", ["NLMCXR_png", "images", "."])
def test_existing_images_get_the_views_of_the_kaggle_table(tmp_path: Path, place: str) -> None:
    write_folder(tmp_path, report(12))
    (tmp_path / place).mkdir(exist_ok=True)
    for number in ("1001", "2001"):
        (tmp_path / place / f"CXR12_IM-0001-{number}.png").touch()
    assert read_corpus(tmp_path)[0]["view_positions"] == ["UNKNOWN", "UNKNOWN"]
    (tmp_path / "indiana_projections.csv").write_text("uid,filename,projection\n12,12_IM-0001-2001.dcm.png,Lateral\n")
    study = read_corpus(tmp_path)[0]
    assert [Path(image).name for image in study["images"]] == ["CXR12_IM-0001-2001.png", "CXR12_IM-0001-1001.png"]
    assert study["view_positions"] == ["LATERAL", "UNKNOWN"]


def test_the_split_is_that_of_the_annotation(tmp_path: Path) -> None:
    write_folder(tmp_path, report(12))
    entry = {"id": "CXR12_IM-0001-1001", "report": "x", "image_path": []}
    (tmp_path / "annotation.json").write_text(json.dumps({"val": [entry]}))
    assert read_corpus(tmp_path, layout="openi")["split"][:] == ["val"]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<eCitation>", r"1\.xml is not valid XML"),
        ("", r"1\.xml is not valid XML"),
        (BOMB + report(1, "&b;").partition("?>")[2], r"1\.xml is not valid XML"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', r"1\.xml is not valid XML"),
        ("<eCitation/>", r"1\.xml has no uId such as CXR12"),
        ('<eCitation><uId id="../1"/></eCitation>', r"1\.xml has no uId such as CXR12"),
        ("<a>" + " " * openi.LARGEST_REPORT + "</a>", r"1\.xml has more than 1048576 bytes"),
    ],
)
def test_faulty_reports_are_refused_with_their_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(write_folder(tmp_path, text))
    archive = write_archive(tmp_path / "NLMCXR_reports.tgz", {"ecgen-radiology/1.xml": text})
    with pytest.raises(CorpusError, match=message):
        read_corpus(archive)


def test_the_name_of_an_image_cannot_leave_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.png").touch()
    (tmp_path / "images").mkdir()
    text = report(1).replace("CXR1_IM-0001-2001", "../secret").replace("CXR1_IM-0001-1001", "x" * 5000)
    (tmp_path / "corpus").mkdir()
    assert read_corpus(write_folder(tmp_path / "corpus", text))["images"][:] == [[]]


def test_links_in_an_archive_are_ignored(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "NLMCXR_reports.tgz", {"ecgen-radiology/1.xml": ""}, kind=tarfile.SYMTYPE)
    with pytest.raises(CorpusError, match="has no studies"):
        read_corpus(archive)


def test_a_truncated_archive_and_another_file_are_refused(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "NLMCXR_reports.tgz", {f"{n}.xml": report(n) for n in range(50)})
    data = archive.read_bytes()
    for broken in (data[: len(data) // 2], data[:2], data[:3], b"PK\3\4", b""):
        archive.write_bytes(broken)
        with pytest.raises(CorpusError, match=r"NLMCXR_reports\.tgz: the \.tgz archive is damaged"):
            read_corpus(tmp_path)


@pytest.mark.parametrize("header", [{"GNU.sparse.map": "x"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}])
def test_an_archive_with_a_broken_sparse_header_is_refused(tmp_path: Path, header: dict[str, str]) -> None:
    member = tarfile.TarInfo("1.xml")
    member.pax_headers = header
    content = member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    (tmp_path / "NLMCXR_reports.tgz").write_bytes(gzip.compress(content))
    with pytest.raises(CorpusError, match=r"NLMCXR_reports\.tgz: the \.tgz archive is damaged"):
        read_corpus(tmp_path)


@pytest.mark.realdata
def test_the_3955_reports(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "iu_xray", layout="openi")
    assert len(corpus) == 3955
    assert sum(map(bool, corpus["findings"])) == 3425
    assert sum(map(bool, corpus["impression"])) == 3921
    assert Counter(view for views in corpus["view_positions"] for view in views) == {"FRONTAL": 5, "LATERAL": 3}


LOST_BY_A_SPREADSHEET = {"1555", "3477", "3784"}
"""Studies whose indication begins with + or -. The Kaggle table has #NAME? instead."""


@pytest.mark.realdata
def test_the_kaggle_tables_agree_with_the_reports_study_by_study(shared: Path) -> None:
    """The tables have the 3,851 studies with an image, and the same texts except for three indications."""
    folder = shared / "data" / "iu_xray"
    original = {study["patient_id"]: study for study in read_corpus(folder, layout="openi")}
    kaggle = {study["patient_id"]: study for study in read_corpus(folder, layout="indiana")}
    assert (len(kaggle), len(original.keys() - kaggle.keys()), kaggle.keys() - original.keys()) == (3851, 104, set())
    for column in ("findings", "impression", "comparison", "split"):
        assert {uid for uid in kaggle if kaggle[uid][column] != original[uid][column]} == set()
    differing = {uid for uid in kaggle if kaggle[uid]["indication"] != original[uid]["indication"]}
    assert differing == LOST_BY_A_SPREADSHEET
    assert {kaggle[uid]["indication"] for uid in differing} == {""}


@pytest.mark.realdata
def test_the_annotation_agrees_with_the_reports_study_by_study(shared: Path) -> None:
    """The annotation has 2,955 studies, each once, with the unchanged findings of the report."""
    folder = shared / "data" / "iu_xray"
    original = {study["patient_id"]: study for study in read_corpus(folder, layout="openi")}
    annotation = read_corpus(folder, layout="r2gen", require_images=False)
    assert len(annotation) == len(set(annotation["patient_id"])) == 2955
    for study in annotation:
        report = original[study["patient_id"]]
        assert (study["findings"], study["split"]) == (report["findings"], report["split"])
        assert study["study_id"].startswith(f"{report['study_id']}_")
