"""ChestX-ray14: sources, boxes of radiologists and adjudicated labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from report_gen.corpora import FindingBox, location_of_boxes, read_corpus
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema, Side, Zone
from tests.corpora.test_nih import labels_of, write_corpus

BOX_HEADING = "image,Image Index,Finding Label,x,y,w,h\n"
ANSWERS = "image,Image Index,Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id\n"


def boxes_of(study: dict[str, Any]) -> list[FindingBox]:
    return [FindingBox(**box) for box in study["finding_boxes"]]


def test_source_and_stored_size_become_columns(tmp_path: Path) -> None:
    table = "Image Index,Finding Labels,Patient ID,View Position,stored_px,source\n"
    table += "1_000.png,Mass,1,PA,384,rm93/x@1\n2_000.png,Mass,2,PA,,\n"
    (tmp_path / "labels.csv").write_text(table)
    first, second = read_corpus(tmp_path, require_images=None)
    assert (first["source"], first["stored_px"]) == ("rm93/x@1", 384)
    assert (second["source"], second["stored_px"]) == ("", 0)
    (tmp_path / "labels.csv").write_text(table.replace("384", "large"))
    with pytest.raises(CorpusError, match=r"labels\.csv: stored_px 'large' is not a number of pixels"):
        read_corpus(tmp_path, require_images=None)


def test_boxes_are_shares_of_the_image(tmp_path: Path) -> None:
    """The frame has 1024 pixels, whatever the size of the stored image."""
    write_corpus(tmp_path, "Infiltration|Nodule", "Mass")
    rows = "x,00000000_000.png,Infiltrate,256,512,128,256\nx,00000000_000.png,Nodule,0,0,1024,64\n"
    (tmp_path / "boxes.csv").write_text(BOX_HEADING + rows + "x,00000009_000.png,Mass,0,0,1,1\n")
    first, second = read_corpus(tmp_path)
    assert boxes_of(first) == [
        FindingBox("Lung Opacity", 0.25, 0.5, 0.375, 0.75),
        FindingBox("Lung Lesion", 0.0, 0.0, 1.0, 0.0625),
    ]
    assert boxes_of(second) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Covid,0,0,1,1", "unknown label 'Covid'"),
        ("Mass,1000,0,100,1", "a box of 00000000_000.png is not within the image of 1024 x 1024"),
        ("Mass,10,0,0,1", "is not within the image"),
        ("Mass,left,0,1,1", "is not within the image"),
    ],
)
def test_a_wrong_box_is_refused(tmp_path: Path, row: str, message: str) -> None:
    write_corpus(tmp_path, "Mass")
    (tmp_path / "boxes.csv").write_text(f"{BOX_HEADING}x,00000000_000.png,{row}\n")
    with pytest.raises(CorpusError, match=rf"boxes\.csv: .*{message}"):
        read_corpus(tmp_path)


def test_adjudicated_labels_replace_mined_ones(tmp_path: Path) -> None:
    write_corpus(tmp_path, "Infiltration|Effusion", "No Finding", "Infiltration", "No Finding", "No Finding")
    answers = ("NO,NO,NO,YES", "NO,NO,YES,NO", "NO,NO,NO,NO", "NO,NO,NO,NO")
    rows = [f"x,{number:08}_000.png,{answer},test\n" for number, answer in enumerate(answers)]
    (tmp_path / "google_labels.csv").write_text(ANSWERS + "".join(rows))
    studies = list(read_corpus(tmp_path))
    found = list(map(labels_of, studies))
    assert [one["Lung Opacity"] for one in found] == [0, 1, 0, 0, 0]
    assert [one["Lung Lesion"] for one in found] == [1, 0, 0, 0, 0]
    assert [one["Fracture"] for one in found] == [0, 0, 0, 0, None]
    assert [one["Pleural Effusion"] for one in found] == [1, 0, 0, 0, 0]
    # Third: the mined opacity is denied, and whether the image is normal is unknown.
    assert [one["No Finding"] for one in found] == [0, 0, None, 1, 1]
    names = {"Fracture", "Pneumothorax", "Lung Opacity", "Lung Lesion"}
    assert [set(study["adjudicated_findings"]) for study in studies] == [names] * 4 + [set()]


def test_another_answer_is_refused(tmp_path: Path) -> None:
    write_corpus(tmp_path, "Mass")
    (tmp_path / "google_labels.csv").write_text(ANSWERS + "x,00000000_000.png,NO,NO,MAYBE,NO,test\n")
    with pytest.raises(CorpusError, match=r"google_labels\.csv: the answer 'MAYBE' is neither YES nor NO"):
        read_corpus(tmp_path)


def test_a_schema_gets_the_annotations_of_its_own_findings(tmp_path: Path) -> None:
    write_corpus(tmp_path, "Mass")
    (tmp_path / "boxes.csv").write_text(f"{BOX_HEADING}x,00000000_000.png,Mass,0,0,512,512\n")
    (tmp_path / "google_labels.csv").write_text(ANSWERS + "x,00000000_000.png,YES,NO,NO,NO,test\n")
    schema = FindingSchema(name="own", findings=("Break",), aliases={"Fracture": "Break"})
    (study,) = read_corpus(tmp_path, schema=schema)
    assert (study["labels"], study["finding_boxes"], study["adjudicated_findings"]) == ([1], [], ["Break"])


@pytest.mark.realdata
def test_the_boxes_of_radiologists_lie_where_the_findings_are(shared: Path) -> None:
    """The heart is in the midline, and slightly to the patient's left, which is the right of the image."""
    corpus = read_corpus(shared / "data" / "nih_more")
    assert len(corpus) == 3082
    assert sum(bool(study["adjudicated_findings"]) for study in corpus) == 129
    boxes = [boxes_of(study) for study in corpus]
    assert sum(map(len, boxes)) == 760
    unpaired = {"Cardiomegaly"}
    counts = Counter(box.finding for found in boxes for box in found)
    assert counts["Cardiomegaly"] == 114
    assert set(counts) < set(chest_xray().findings)
    hearts = [box for found in boxes for box in found if box.finding in unpaired]
    assert 0.5 < sum((box.left + box.right) / 2 for box in hearts) / len(hearts) < 0.65
    sides: Counter[Side] = Counter()
    for found in boxes:
        for finding in {box.finding for box in found} - unpaired:
            sides[location_of_boxes((box for box in found if box.finding == finding), paired=True).side] += 1
    assert sides[Side.RIGHT] > sides[Side.LEFT] > sides[Side.BOTH] > sides[Side.MIDLINE]
    zones = Counter(
        (box.finding, zone) for found in boxes for box in found for zone in location_of_boxes([box], paired=True).zones
    )
    assert zones["Pneumothorax", Zone.UPPER] > 2 * zones["Pneumothorax", Zone.LOWER]  # air rises
    assert zones["Pleural Effusion", Zone.LOWER] > 2 * zones["Pleural Effusion", Zone.UPPER]
    assert {source.partition("/")[0] for source in corpus["source"]} > {"rm93", "adleberg", "muhammedtalo"}
    assert set(corpus["stored_px"]) == {256, 384}
