"""Targets of the readers of corpora: tables, JSON, XML, archives and saved datasets."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from report_gen.corpora import read_columns, read_corpus
from report_gen.corpora.medpix import COLUMNS as MEDPIX_COLUMNS
from report_gen.corpora.mimic_reports import ARCHIVE as MIMIC_ARCHIVE
from report_gen.corpora.openi import ARCHIVE as OPENI_ARCHIVE
from report_gen.corpora.openi import FOLDER as OPENI_FOLDER
from tests.fuzz.example import Example, Files, Target
from tests.fuzz.values import ODD_TEXTS, SCALARS, VALUES, changed_trees, to_json

ROWS: list[dict[str, Any]] = [
    {
        "study_id": "s1",
        "patient_id": "p1",
        "image": "a.png;b.png",
        "view": "PA;lateral",
        "offsets_mm": "0;-2.5",
        "offsets_days": "0;",
        "is_prior": "0;1",
        "prior_report": "Clear lungs.",
        "indication": "Cough.",
        "findings": 'The heart is "normal", the lungs are clear; no effusion.',
        "impression": "No acute disease.",
        "modality": "DX",
        "split": "train",
        "Cardiomegaly": 0,
        "source": "",
        "stored_px": 0,
        "finding_boxes": [],
    },
    {
        "study_id": "s2",
        "patient_id": "p2",
        "image": "c.png",
        "view": "AP",
        "indication": "",
        "findings": "FINDINGS: Effusion.\nIMPRESSION: Effusion é.",
        "impression": "Effusion.",
        "modality": "",
        "split": "test",
        "Cardiomegaly": 1,
        "source": "a/b",
        "stored_px": 384,
        "finding_boxes": [{"finding": "Edema", "left": 0.1, "top": 0.25, "right": 0.5, "bottom": 0.75, "image": 0}],
    },
]

ANNOTATION = {
    split: [
        {
            "id": f"CXR{number}_IM-0001",
            "report": "The lungs are clear.",
            "image_path": ["a.png", "b.png"],
            "split": split,
        }
    ]
    for number, split in enumerate(("train", "val", "test"), start=1)
}
COCO = {
    "info": {},
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "annotations": [{"id": 7, "image_id": 1, "caption": "Clear."}, {"id": 8, "image_id": 2, "caption": "Effusion."}],
}

XML = b"""<?xml version="1.0" encoding="utf-8"?>
<eCitation><uId id="CXR1"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON">None.</AbstractText><AbstractText Label="INDICATION">Cough &amp; fever</AbstractText>
<AbstractText Label="FINDINGS">The lungs are clear.</AbstractText>
<AbstractText Label="IMPRESSION">Normal.</AbstractText>
</Abstract></Article></MedlineCitation>
<parentImage id="CXR1_IM-0001-3001"><panel/></parentImage><parentImage id="CXR1_IM-0001-4001"/></eCitation>
"""

MIMIC_TEXT = b"FINAL REPORT\n INDICATION: Cough.\n\n FINDINGS: The lungs are clear.\n\n IMPRESSION: No pneumonia.\n"


def _delimited(rows: Iterable[dict[str, Any]], separator: str = ",", encoding: str = "utf-8") -> bytes:
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode(encoding, errors="surrogatepass")


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _one(name: str, content: bytes) -> Example:
    return Example({name: content}, name)


def _table_seeds() -> Sequence[Example]:
    medpix = [dict.fromkeys(MEDPIX_COLUMNS, "x") | {"image": "a.png", "case_id": "1", "split": "train"}]
    nih = [{"Image Index": "00000001_000.png", "Finding Labels": "Cardiomegaly|Effusion", "Patient ID": 1}]
    nih[0] |= {"View Position": "PA", "Follow-up #": 0, "Patient Age": 58, "Patient Gender": "M"}
    box = {"image": "x", "Image Index": "00000001_000.png", "Finding Label": "Infiltrate"}
    answers = dict.fromkeys(("Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass"), "NO")
    annotated = {
        "labels.csv": _delimited([nih[0] | {"stored_px": 384, "source": "rm93/a@1"}]),
        "boxes.csv": _delimited([box | {"x": 100.5, "y": 200, "w": 300, "h": 64.25}]),
        "google_labels.csv": _delimited([{"Image Index": "00000001_000.png"} | answers]),
    }
    texts = {"indication": "Cough.", "comparison": "", "findings": "Clear.", "impression": "Normal."}
    projection = {"uid": 1, "filename": "1_IM-0001-4001.dcm.png", "projection": "Frontal"}
    indiana = {
        "indiana_reports.csv": _delimited([{"uid": 1, "MeSH": "normal", "Problems": "normal", "image": "x"} | texts]),
        "indiana_projections.csv": _delimited([projection]),
    }
    return [
        _one("manifest.csv", _delimited(ROWS)),
        _one("manifest.tsv", _delimited(ROWS, "\t", "utf-8-sig")),
        _one("list.csv", b"sep=;\n" + _delimited(ROWS, ";")),
        _one("list.csv", _delimited(ROWS, "|", "utf-16")),
        _one("train.csv", _delimited(medpix)),
        _one("Data_Entry_2017.csv", _delimited(nih)),
        *(Example(annotated, name) for name in annotated),
        *(Example(indiana, name) for name in indiana),
    ]


def _json_seeds() -> Sequence[Example]:
    lines = b"".join(to_json(row) + b"\n" for row in ROWS)
    return [
        _one("manifest.jsonl", lines),
        _one("manifest.json", to_json(ROWS)),
        _one("metadata.jsonl", lines.replace(b'"image"', b'"file_name"')),
        _one("annotation.json", to_json(ANNOTATION)),
        _one("captions_val2017.json", to_json(COCO)),
        _one("my_data.json", json.dumps(ROWS, indent=1).encode("utf-8-sig")),
    ]


def _xml_seeds() -> Sequence[Example]:
    return [_one(f"{OPENI_FOLDER}/1.xml", XML), _one(f"{OPENI_FOLDER}/1.xml", XML.replace(b"utf-8", b"latin-1"))]


def _archive(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for number in (1, 2):
            member = tarfile.TarInfo(f"{OPENI_FOLDER}/" + ("x" * 120 if number == 2 else "") + f"{number}.xml")
            data = XML.replace(b"CXR1", f"CXR{number}".encode())
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _compress_again(files: Files) -> Files:
    return {name: gzip.compress(data, 1) if name.endswith(("gz",)) else data for name, data in files.items()}


def _tar_seeds() -> Sequence[Example]:
    gnu, pax = _archive(format=tarfile.GNU_FORMAT), _archive(format=tarfile.PAX_FORMAT)
    return [
        Example({OPENI_ARCHIVE: gnu}, OPENI_ARCHIVE, _compress_again),
        Example({OPENI_ARCHIVE: pax}, OPENI_ARCHIVE, _compress_again),
        Example({OPENI_ARCHIVE: gzip.compress(gnu)}, OPENI_ARCHIVE),
    ]


def _mimic(archive: bytes) -> dict[str, bytes]:
    """Return a corpus of two studies in the layout of MIMIC-CXR."""
    ids = [{"subject_id": f"1000000{n}", "study_id": f"5000000{n}", "dicom_id": f"{n}a"} for n in (1, 2)]
    paths = [f"files/p10/p{row['subject_id']}/s{row['study_id']}" for row in ids]
    records = [row | {"path": f"{path}/{row['dicom_id']}.dcm"} for row, path in zip(ids, paths, strict=True)]
    return {
        "cxr-record-list.csv.gz": _delimited(records),
        MIMIC_ARCHIVE: archive,
        **{f"{path}/{row['dicom_id']}.dcm": b"" for row, path in zip(ids, paths, strict=True)},
    }


def _zip_seeds() -> Sequence[Example]:
    archives = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for n in (1, 2):
                archive.writestr(f"files/p10/p1000000{n}/s5000000{n}.txt", MIMIC_TEXT)
        archives.append(buffer.getvalue())
    tables = Example(_mimic(archives[1]), "cxr-record-list.csv.gz", _compress_again)
    raw = Example(_compress_again(_mimic(archives[0])), "cxr-record-list.csv.gz")
    return [*(Example(_mimic(archive), MIMIC_ARCHIVE, _compress_again) for archive in archives), tables, raw]


def _saved_seeds() -> Sequence[Example]:
    """Return the files of a dataset that `datasets` saved; each in turn is the one that is mutated."""
    from datasets import Dataset

    with TemporaryDirectory() as folder:
        Dataset.from_list(ROWS).save_to_disk(folder)
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return [Example(files, name) for name in files]


def _changed_tables(_seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return tables of the usual columns with any texts as values, doubled columns and rows of other lengths."""
    names = st.lists(
        st.sampled_from((*ROWS[0], "report", "text", "Patient ID", "soft Edema", "")), min_size=1, max_size=8
    )
    cells = st.one_of(ODD_TEXTS, SCALARS.map(str), st.sampled_from(("a.png", "../a.png", "PA", "train", "1", "0.5")))

    @st.composite
    def draw_table(draw: st.DrawFn) -> Example:
        header = draw(names)
        rows = draw(st.lists(st.lists(cells, min_size=len(header), max_size=len(header)), max_size=4))
        text = io.StringIO()
        separator = draw(st.sampled_from((",", ";", "\t", "|")))
        csv.writer(text, delimiter=separator, quoting=draw(st.sampled_from((0, 1, 2)))).writerows([header, *rows])
        encoding = draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16")))
        return _one("manifest.csv", text.getvalue().encode(encoding, errors="surrogatepass"))

    return draw_table()


def _changed_json(_seeds: Sequence[Example]) -> SearchStrategy[Example]:
    rows = changed_trees(ROWS)
    return st.one_of(
        rows.map(lambda tree: _one("manifest.json", to_json(tree))),
        rows.map(
            lambda tree: _one(
                "manifest.jsonl", b"\n".join(map(to_json, tree)) if isinstance(tree, list) else to_json(tree)
            )
        ),
        changed_trees(ANNOTATION).map(lambda tree: _one("annotation.json", to_json(tree))),
        changed_trees(COCO).map(lambda tree: _one("captions_val2017.json", to_json(tree))),
        VALUES.map(lambda tree: _one("my_data.json", to_json(tree))),
    )


def _changed_xml(_seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return XML with entities, other encodings, deep nesting and odd attributes."""
    pieces = st.sampled_from(
        (
            b'<!DOCTYPE a [<!ENTITY b "c">]>',
            b'<!DOCTYPE a SYSTEM "file:///etc/passwd">',
            b"&b;",
            b"&#0;",
            b"&#x110000;",
            b'<uId id="CXR2"/>',
            b'<parentImage id="../../etc/passwd"/>',
            b'<parentImage id=""/>',
            b"<![CDATA[<x>]]>",
            b"<a>" * 5000,
            b'<AbstractText Label="FINDINGS"/>',
            b"\xff\xfe",
            b'<?xml version="1.0" encoding="idna"?>',
        )
    )
    places = st.integers(0, len(XML))
    return st.lists(st.tuples(places, pieces), min_size=1, max_size=3).map(
        lambda inserted: _one(f"{OPENI_FOLDER}/1.xml", _insert(XML, inserted))
    )


def _insert(content: bytes, inserted: Sequence[tuple[int, bytes]]) -> bytes:
    for place, piece in sorted(inserted, reverse=True):
        content = content[:place] + piece + content[place:]
    return content


@st.composite
def _tar_files(draw: st.DrawFn) -> Example:
    """Draw an archive whose headers have valid check sums and odd types, names, sizes and pax records."""
    blocks = b""
    for _ in range(draw(st.integers(1, 3))):
        member = tarfile.TarInfo(draw(st.sampled_from(("1.xml", "../1.xml", "/etc/1.xml", "x" * 200 + ".xml", ""))))
        member.type = draw(
            st.sampled_from((b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"L", b"K", b"S", b"x", b"g", b"X"))
        )
        member.size = draw(st.sampled_from((0, len(XML), 2**20 + 1, 2**31, 2**33 - 1, 2**60)))
        member.linkname = draw(st.sampled_from(("", "1.xml", "../x")))
        records = draw(
            st.dictionaries(st.sampled_from(("path", "size", "mtime", "GNU.sparse.map")), ODD_TEXTS, max_size=2)
        )
        member.pax_headers = {key: value.encode(errors="ignore").decode() for key, value in records.items()}
        try:
            blocks += member.tobuf(draw(st.sampled_from((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))))
        except ValueError:  # the value has no encoding in this format
            blocks += member.tobuf(tarfile.GNU_FORMAT, errors="surrogateescape") if member.size < 2**60 else b""
        blocks += draw(st.sampled_from((XML, b"", b"17 path=1.xml\n", b"99999999999 path=x\n"))).ljust(1024, b"\0")
    return Example({OPENI_ARCHIVE: blocks + b"\0" * 1024}, OPENI_ARCHIVE, _compress_again)


def _zip_files(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    """Return ZIP archives whose central directory has odd sizes, methods and flags."""
    content = seeds[1].files[MIMIC_ARCHIVE]
    start = content.index(b"PK\1\2")
    numbers = st.sampled_from((0, 1, 8, 9, 12, 14, 93, 0xFFFF)).map(lambda number: number.to_bytes(2, "little"))
    places = st.integers(start, len(content) - 2)

    def patch(changes: list[tuple[int, bytes]]) -> Example:
        data = bytearray(content)
        for place, number in changes:
            data[place : place + 2] = number
        return seeds[1].with_content(bytes(data))

    return st.lists(st.tuples(places, numbers), min_size=1, max_size=4).map(patch)


def _saved_files(seeds: Sequence[Example]) -> SearchStrategy[Example]:
    documents = [seed for seed in seeds if seed.name.endswith(".json")]

    def change(seed: Example) -> SearchStrategy[Example]:
        return changed_trees(json.loads(seed.files[seed.name])).map(lambda tree: seed.with_content(to_json(tree)))

    return st.one_of(*map(change, documents))


def _read(layout: str | None = None, *, levels: int = 0) -> Callable[[Path], object]:
    """Return a function that reads the corpus whose folder is `levels` above that of the mutated file."""

    def read(path: Path) -> object:
        folder = path.parents[levels]
        with TemporaryDirectory(prefix="fuzz-store-") as store:
            read_columns(folder, layout=layout)
            return list(read_corpus(folder, layout=layout, require_images=None, store=Path(store)))

    return read


TARGETS = (
    Target("tables", _table_seeds, _changed_tables, _read()),
    Target("json", _json_seeds, _changed_json, _read()),
    Target("xml", _xml_seeds, _changed_xml, _read("openi", levels=1)),
    Target("tar", _tar_seeds, lambda _seeds: _tar_files(), _read("openi")),
    Target("zip", _zip_seeds, _zip_files, _read("mimic-cxr")),
    Target("saved-dataset", _saved_seeds, _saved_files, _read("hf")),
)
