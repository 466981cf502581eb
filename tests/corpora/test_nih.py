"""ChestX-ray14: labels, soft labels and splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from report_gen.corpora import read_corpus, read_nih_labels
from report_gen.corpora.nih_labels import NIH_LABELS, stated_labels
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema

FINDINGS = chest_xray().findings
CHEXPERT = chest_xray().subsets["chexpert"]

UNKNOWN_TO_NIH = {"Enlarged Cardiomediastinum", "Fracture", "Support Devices"}
MASS_AND_NODULE = {"Mass", "Nodule"}
HEADING = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
PROBABILITIES = "image,atelectasis,cardiomegaly,effusion,infiltration,mass,nodule,pneumonia,pneumothorax,"
PROBABILITIES += "consolidation,edema,emphysema,fibrosis,pleural_thickening,hernia\n"


def write_corpus(folder: Path, *labels: str, name: str = "labels.csv") -> Path:
    rows = [f"{n:08}_000.png,{label},0,{n},60,F,PA" for n, label in enumerate(labels)]
    (folder / name).write_text(HEADING + "\n".join(rows), encoding="utf-8")
    (folder / "images").mkdir()
    for n in range(len(labels)):
        (folder / "images" / f"{n:08}_000.png").touch()
    return folder


def labels_of(study: dict[str, list[float | None]], column: str = "labels") -> dict[str, float | None]:
    return dict(zip(FINDINGS, study[column], strict=True))


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("No Finding", {"No Finding"}),
        ("Cardiomegaly|Effusion", {"Cardiomegaly", "Pleural Effusion"}),
        ("Mass", {"Lung Lesion"}),
        ("Nodule|Mass|Infiltration", {"Lung Lesion", "Lung Opacity"}),
        ("Pleural_Thickening|Edema", {"Pleural Other", "Edema"}),
        (
            "Pneumonia|Pneumothorax|Consolidation|Atelectasis",
            {"Pneumonia", "Pneumothorax", "Consolidation", "Atelectasis"},
        ),
        ("Emphysema|Fibrosis|Hernia", {"Emphysema", "Fibrosis", "Hernia"}),
    ],
)
def test_labels_become_findings(tmp_path: Path, text: str, present: set[str]) -> None:
    labels = labels_of(read_corpus(write_corpus(tmp_path, text))[0])
    assert {name for name, label in labels.items() if label is None} == UNKNOWN_TO_NIH
    assert {name for name, label in labels.items() if label == 1} == present


def test_the_soft_label_of_merged_labels_is_the_probability_of_either(tmp_path: Path) -> None:
    write_corpus(tmp_path, "Mass", "Mass")
    row = "images/00000001_000.jpg,0.1,0,0,0.25,0.2,0.5,0,0,0,0,0.9,0,0,0\n"
    (tmp_path / "chexnet_probs.csv").write_text(PROBABILITIES + row)
    without, study = read_corpus(tmp_path)
    assert without["soft_labels"] == [None] * 17
    soft = labels_of(study, "soft_labels")
    assert {name for name, label in soft.items() if label is None} == UNKNOWN_TO_NIH | {"No Finding"}
    assert soft["Lung Lesion"] == pytest.approx(1 - 0.8 * 0.5)
    assert (soft["Atelectasis"], soft["Lung Opacity"], soft["Emphysema"]) == pytest.approx((0.1, 0.25, 0.9))


@pytest.mark.parametrize("probability", ["1.5", "nan", "high"])
def test_a_soft_label_that_is_not_a_probability_is_refused(tmp_path: Path, probability: str) -> None:
    write_corpus(tmp_path, "Mass")
    row = f"images/00000000_000.jpg,{probability},0,0,0,0,0,0,0,0,0,0,0,0,0\n"
    (tmp_path / "chexnet_probs.csv").write_text(PROBABILITIES + row)
    with pytest.raises(CorpusError, match=r"chexnet_probs\.csv: a probability"):
        read_corpus(tmp_path)


def test_the_official_table_and_the_official_lists(tmp_path: Path) -> None:
    write_corpus(tmp_path, *["No Finding"] * 40, name="Data_Entry_2017_v2020.csv")
    names = [f"{n:08}_000.png" for n in range(40)]
    (tmp_path / "test_list.txt").write_text("\n".join(names[:5]))
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[5:]))
    splits = read_corpus(tmp_path)["split"][:]
    assert splits[:5] == ["test"] * 5
    assert set(splits[5:]) == {"train", "val"}
    (tmp_path / "train_val_list.txt").write_text("\n".join(names[6:]))
    with pytest.raises(CorpusError, match=r"00000005_000\.png is in neither"):
        read_corpus(tmp_path)


def test_the_official_image_folders(tmp_path: Path) -> None:
    write_corpus(tmp_path, "No Finding", "No Finding")
    (tmp_path / "images_002" / "images").mkdir(parents=True)
    (tmp_path / "images" / "00000001_000.png").rename(tmp_path / "images_002" / "images" / "00000001_000.png")
    images = [Path(study["images"][0]).relative_to(tmp_path).parts[0] for study in read_corpus(tmp_path)]
    assert images == ["images", "images_002"]


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"labels\.csv: unknown label 'Covid'"):
        read_corpus(write_corpus(tmp_path, "Mass|Covid"))


def test_without_lists_patients_are_split_by_their_hash(tmp_path: Path) -> None:
    """sha256 of "0", "7", "4" and "2" begins with 5f, 79, 4b and d4: 0.37, 0.47, 0.29 and 0.83 of the range."""
    splits = read_corpus(write_corpus(tmp_path, *["No Finding"] * 1000))["split"][:]
    assert [splits[n] for n in (0, 7, 4, 2)] == ["train", "train", "train", "test"]
    counts = Counter(splits)
    assert counts["train"] == pytest.approx(600, abs=45)
    assert counts["val"] == pytest.approx(200, abs=40)


@pytest.mark.realdata
def test_the_490_radiographs(shared: Path) -> None:
    corpus = read_corpus(shared / "data" / "nih_cxr")
    assert len(corpus) == 490
    assert sum(labels_of(study)["No Finding"] == 1 for study in corpus) == 74
    assert sum(labels_of(study)["Lung Opacity"] == 1 for study in corpus) == 103  # 104 mined, one of them denied
    assert all(labels_of(study, "soft_labels")["Edema"] is not None for study in corpus)
    assert set(corpus["split"]) == {"train", "val", "test"}
    assert {view for (view,) in corpus["view_positions"]} == {"PA", "AP"}


def test_every_label_stands_for_one_finding() -> None:
    """Against the table of Wang et al., CVPR 2017, and the three findings of CheXpert that the NIH labels lack."""
    labels = chest_xray().labels_of("nih")
    assert sorted(label for found in labels.values() for label in found) == sorted(NIH_LABELS)
    assert set(labels) == set(FINDINGS) - UNKNOWN_TO_NIH - {"No Finding"}
    assert labels["Lung Lesion"] == ("Mass", "Nodule")
    assert len(CHEXPERT) == len(NIH_LABELS) == 14


def test_a_schema_without_a_mapping_has_no_labels_of_nih(tmp_path: Path) -> None:
    schema = FindingSchema(name="own", findings=("Cardiomegaly",))
    write_corpus(tmp_path, "Cardiomegaly")
    assert read_corpus(tmp_path, schema=schema)[0]["labels"] == [None]


def test_the_nih_labels_distinguish_mass_and_nodule(tmp_path: Path) -> None:
    write_corpus(tmp_path, "No Finding", "Mass|Hernia", "Nodule")
    found = read_nih_labels(tmp_path)
    assert found == {
        "00000000_000": frozenset(),
        "00000001_000": {"Mass", "Hernia"},
        "00000002_000": {"Nodule"},
    }
    assert set(found) == set(read_corpus(tmp_path)["study_id"])


def test_other_layouts_have_no_labels_of_nih(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"id": "1", "findings": "Mass."}')
    assert read_nih_labels(tmp_path) is None
    with pytest.raises(CorpusError, match="no such file or folder"):
        read_nih_labels(tmp_path / "manifest.jsonl" / "none")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("The heart is enlarged. Small pleural effusion.", {"Cardiomegaly", "Effusion"}),
        ("Patchy opacity.", {"Infiltration"}),
        ("Infiltrate or atelectasis.", set()),
        ("Biapical pleural thickening. No pneumothorax.", {"Pleural_Thickening"}),
        ("Emphysema, fibrosis and a hiatal hernia.", {"Emphysema", "Fibrosis", "Hernia"}),
        ("Possible emphysema. No fibrosis.", set()),
        ("Two nodules in the left lung.", {"Nodule"}),
        ("A nodular opacity.", {"Nodule", "Infiltration"}),
        ("Right hilar mass.", {"Mass"}),
        ("Masses at both bases.", {"Mass"}),
        ("Multiple pulmonary nodules and a mass.", MASS_AND_NODULE),
        ("A nodule. Right hilar mass.", MASS_AND_NODULE),
        ("A cavitary lesion.", MASS_AND_NODULE),
        ("A cavitary lesion. A nodule.", MASS_AND_NODULE),
        ("Lung cancer presenting as a nodule.", {"Nodule"}),
        ("There is a nodule, no mass.", {"Nodule"}),
        ("Possible nodule, definite mass.", {"Mass"}),
        ("No mass or nodule.", set()),
        ("Rib fracture. Pacemaker.", set()),
        ("Normal chest.", set()),
        ("", set()),
    ],
)
def test_labels_that_a_text_states(text: str, labels: set[str]) -> None:
    assert stated_labels(text) == labels
