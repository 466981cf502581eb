"""Checks of small corpora with faults that are counted by hand, and of collections whose faults are known."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from rich.console import Console

from report_gen.corpora import IMAGE_COLUMNS, corpus_features, read_corpus
from report_gen.corpus_qc import CorpusCheck, ExampleImages, check_corpus, render_check, write_html, write_json
from report_gen.corpus_qc.results import Duplicates, FindingCounts, TrainOverlap
from report_gen.labeling import chest_xray
from report_gen.records import ATTRIBUTES
from tests.builders import noise_image, write_png

FINDINGS = chest_xray().findings

LONG = (
    "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. There is no pleural effusion "
    "and no pneumothorax. The bony structures are intact."
)


def corpus(*rows: dict[str, Any]) -> Dataset:
    """Return a corpus of rows; columns that are not given have empty values."""
    unlabeled = [None] * len(FINDINGS)
    empty = {
        **dict.fromkeys(("patient_id", "prior_report", "study_description", "admitting_diagnoses"), ""),
        **dict.fromkeys(("indication", "comparison", "findings", "impression"), ""),
        **{name: [] for name in IMAGE_COLUMNS},
        "labels": unlabeled,
        "soft_labels": unlabeled,
        "adjudicated_findings": [],
        "finding_boxes": [],
        "source": "",
        "stored_px": 0,
        **dict.fromkeys(ATTRIBUTES, ""),
        "split": "train",
    }
    numbered = ({"study_id": str(number)} | empty | row for number, row in enumerate(rows))
    return Dataset.from_list(list(numbered), features=corpus_features(chest_xray()))


def check(dataset: Dataset, **options: Any) -> CorpusCheck:
    return check_corpus(dataset, source="here", **options)[0]


def sentences(found: CorpusCheck, *, serious: bool) -> str:
    return "\n".join(problem.text for problem in found.problems if problem.serious is serious)


def test_a_sound_corpus_has_no_serious_problem() -> None:
    rows = [
        {"findings": f"Finding {split}.", "impression": "None.", "patient_id": split, "split": split, "images": [split]}
        for split in ("train", "val", "test")
    ]
    found = check(corpus(*rows), examine_images=False)
    assert not found.serious
    assert found.counts["all"].patients == found.counts["all"].with_report == 3
    assert [found.counts[split].studies for split in ("train", "val", "test")] == [1, 1, 1]


def test_faulty_ids_patients_splits_and_texts_are_counted() -> None:
    found = check(
        corpus(
            {"patient_id": "a", "findings": "x"},
            {"patient_id": "a", "findings": "x", "split": "test"},
            {"patient_id": "b", "findings": "x", "study_id": "0"},
            {"patient_id": "b", "findings": "x\0y"},
            {"findings": "x", "split": "dev"},
            {"split": "test"},
        )
    )
    assert (found.patients_in_several_splits, found.repeated_ids, found.with_nul, found.empty) == (1, 1, 1, 1)
    assert (found.unknown_splits, found.without_patient) == (("dev",), 2)
    for sentence in ("1 patients have studies", "1 study ids occur", "1 studies have NUL", "unknown split 'dev'"):
        assert sentence in sentences(found, serious=True)
    assert "1 studies have neither image, report nor label" in sentences(found, serious=False)
    assert "no studies in val" in sentences(found, serious=False)


def test_test_reports_that_are_also_in_train() -> None:
    similar = LONG.replace("intact", "normal")
    found = check(
        corpus(
            {"findings": LONG, "impression": "Normal."},
            {"findings": LONG.upper(), "impression": "Normal.", "split": "test"},
            {"findings": LONG, "impression": "No acute disease.", "split": "test"},
            {"findings": similar, "impression": "Normal.", "split": "test"},
            {"findings": "Large effusion.", "split": "test"},
            {"impression": "Effusion.", "split": "val"},
        )
    )
    assert found.overlap_with_train["findings"] == {"test": TrainOverlap(items=4, identical=0.5, similar=None)}
    assert found.overlap_with_train["impression"]["test"] == TrainOverlap(items=3, identical=2 / 3, similar=None)
    assert found.overlap_with_train["report"]["test"] == TrainOverlap(items=4, identical=0.25, similar=0.75)
    assert found.overlap_with_train["report"]["val"] == TrainOverlap(items=1, identical=0, similar=0)
    assert found.reports == Duplicates(items=6, distinct=5, similar=3, clusters=1)
    assert "50% of the test findings are in train word for word" in sentences(found, serious=False)


def test_marks_priors_lengths_and_findings() -> None:
    labels = [1.0 if name == "Edema" else 0.0 if name == "Fracture" else None for name in FINDINGS]
    found = check(
        corpus(
            {"findings": "Stable cardiomegaly. No edema.", "indication": "XXXX with cough", "labels": labels},
            {"findings": "The ___ heart is enlarged. Possible pneumonia.", "impression": "Cardiomegaly."},
            {"comparison": "Compared to the prior study."},
        )
    )
    assert (found.with_marks, found.with_prior, found.prior_sentences) == (1, 1, pytest.approx(1 / 5))
    assert {name: section.studies for name, section in found.sections.items()} == {
        "indication": 1,
        "comparison": 1,
        "findings": 2,
        "impression": 1,
    }
    assert found.sections["indication"].with_marks == 1
    assert (found.sections["findings"].words["0"], found.sections["findings"].words["100"]) == (4, 7)
    assert found.findings_in_reports["Cardiomegaly"] == FindingCounts(present=2, absent=0)
    assert found.findings_in_reports["Pneumonia"] == FindingCounts(present=0, absent=0, uncertain=1)
    assert found.findings_in_reports["Edema"] == FindingCounts(present=0, absent=1)
    assert (found.findings_in_labels["Edema"], found.findings_in_labels["Fracture"]) == (
        FindingCounts(present=1, absent=0),
        FindingCounts(present=0, absent=1),
    )


@pytest.fixture
def radiographs(tmp_path: Path) -> Dataset:
    """Return four images, one of them twice and in two splits, and a broken, a blank and a missing one."""
    names = {name: str(write_png(tmp_path / f"{name}.png", noise_image(seed))) for seed, name in enumerate("abcd")}
    names["e"] = str(write_png(tmp_path / "e.png", noise_image(0)))
    names["blank"] = str(write_png(tmp_path / "blank.png", noise_image(0) * 0))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    rows = [
        {"images": [names["a"], names["b"]], "view_positions": ["PA", "LATERAL"], "findings": "Quokka."},
        {"images": [names["c"], str(tmp_path / "broken.png")], "view_positions": ["PA", "PA"]},
        {"images": [names["blank"], str(tmp_path / "absent.png")], "view_positions": ["AP", "UNKNOWN"]},
        {"images": [names["d"], names["e"]], "view_positions": ["PA", "PA"], "split": "test"},
    ]
    return corpus(*({"patient_id": str(number), **row} for number, row in enumerate(rows)))


def test_images(radiographs: Dataset) -> None:
    done: list[int] = []
    found = check(radiographs, progress=done.append)
    assert found.images is not None
    counts = (found.images.listed, found.images.missing, found.images.unreadable, found.images.blank)
    assert counts == (8, 1, 1, 1)
    assert found.images.duplicates == Duplicates(items=5, distinct=4, similar=0, clusters=0)
    assert found.images.overlap_with_train == {"test": TrainOverlap(items=2, identical=0.5, similar=0.5)}
    assert [error.rpartition("/")[2].partition(":")[0] for error in found.images.errors] == ["broken.png", "absent.png"]
    assert found.views == {"PA": 5, "LATERAL": 1, "AP": 1, "UNKNOWN": 1}
    assert done == [4]
    for sentence in ("1 of 8 images are missing", "1 of 8 images cannot be read", "50.0% of the test images are in"):
        assert sentence in sentences(found, serious=True)
    for sentence in ("1 images are copies", "1 images are blank", "view of 12%"):
        assert sentence in sentences(found, serious=False)


def test_images_are_not_opened_on_request(radiographs: Dataset) -> None:
    found = check(radiographs, examine_images=False)
    assert found.images is None
    assert not found.serious
    assert found.counts["all"].images == 8


def test_tables_quote_no_report_and_the_page_has_a_warning(radiographs: Dataset, tmp_path: Path) -> None:
    found, example_images = check_corpus(radiographs, source="<corpus>")
    write_json(found, tmp_path / "check.json")
    console = Console(width=200, file=io.StringIO())
    console.print(render_check(found))
    document = (tmp_path / "check.json").read_text()
    assert json.loads(document)["images"]["missing"] == 1
    assert json.loads(document)["serious"] is True
    assert "1 of 8 images are missing" in console.file.getvalue()
    assert "Quokka" not in document + console.file.getvalue()
    page = read_page(replace(example_images, frequent_reports=((2, "Quokka <b>."),)), found, tmp_path)
    assert "shows images of patients" in page
    assert "Quokka &lt;b&gt;." in page
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert "<corpus>" not in page


def read_page(example_images: ExampleImages, found: CorpusCheck, folder: Path) -> str:
    """Return the page, after checking that its elements are nested correctly and load no file."""
    write_html(found, example_images, folder / "check.html")
    text = (folder / "check.html").read_text()
    parser = _Nesting()
    parser.feed(text)
    assert parser.open == []
    return text


class _Nesting(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [value for name, value in attrs if name in ("src", "href") and not str(value).startswith("data:")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_sample_of_images_depends_on_the_seed(tmp_path: Path) -> None:
    paths = [str(write_png(tmp_path / f"{seed}.png", noise_image(seed))) for seed in range(100)]
    dataset = corpus(*({"images": [path], "view_positions": ["PA"]} for path in paths))
    first, again, other = (check_corpus(dataset, source="", seed=seed)[1].random_images for seed in (1, 1, 2))
    samples = [{one.pixels.tobytes() for one in thumbnails} for thumbnails in (first, again, other)]
    assert len(samples[0]) == 48
    assert samples[0] == samples[1] != samples[2]


def test_similar_images_are_shown_in_pairs(tmp_path: Path) -> None:
    write_png(tmp_path / "original.png", noise_image(0, size=128))
    low_contrast = tmp_path / "low_contrast.png"
    write_png(low_contrast, noise_image(0, size=128) // 2 + 64)
    row = {
        "images": [str(tmp_path / "original.png"), str(low_contrast)],
        "view_positions": ["PA", "PA"],
        "findings": "x",
    }
    found, example_images = check_corpus(corpus(row), source="here")
    assert found.images is not None
    assert found.images.duplicates == Duplicates(items=2, distinct=2, similar=2, clusters=1)
    assert [thumbnail.caption for thumbnail in example_images.similar_images] == ["study 1", "study 1"]


@pytest.mark.realdata
def test_the_fraction_of_test_findings_that_are_in_train(shared: Path) -> None:
    """47% of the 590 test reports of the R2Gen split, counted independently of this code."""
    dataset = read_corpus(shared / "data" / "iu_xray" / "annotation.json", require_images=None, check=False)
    found, example_images = check_corpus(dataset, source="iu_xray", examine_images=False)
    assert found.overlap_with_train["findings"]["test"].items == 590
    assert found.overlap_with_train["findings"]["test"].identical == pytest.approx(0.47, abs=0.005)
    assert "47% of the test and 22% of the val findings are in train word for word" in sentences(found, serious=False)
    assert 0.40 < found.with_marks / 2955 < 0.45
    assert example_images.frequent_reports[0][0] > 20


@pytest.mark.realdata
def test_radiographs_of_many_patients_are_not_similar(shared: Path) -> None:
    found = check(read_corpus(shared / "data" / "nih_cxr", require_images=None, check=False))
    assert found.images is not None
    assert (found.images.unreadable, found.images.duplicates.similar) == (0, 0)
    assert found.findings_in_labels["Cardiomegaly"].present > 0
