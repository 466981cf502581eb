"""A corpus with every fault that is looked for, each counted by hand; and the collection whose faults are known."""

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

from report_gen.corpora import corpus_features, read_corpus
from report_gen.corpus_qc import CorpusCheck, ExampleImages, check_corpus, render_check, write_html, write_json
from report_gen.corpus_qc.results import Copies, Duplicates, Support
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.report import ATTRIBUTES
from tests.builders import picture, write_png

FINDINGS = chest_xray().findings

LONG = (
    "The heart is normal in size. The mediastinum is unremarkable. The lungs are clear. There is no pleural effusion "
    "and no pneumothorax. The bony structures are intact."
)


def corpus(*rows: dict[str, Any]) -> Dataset:
    """Rows with the columns of `corpus_features`, of which only those of interest are given."""
    nothing = [None] * len(FINDINGS)
    plain = {
        **dict.fromkeys(("patient_id", "indication", "comparison", "findings", "impression"), ""),
        "images": [],
        "view_positions": [],
        "labels": nothing,
        "soft_labels": nothing,
        **dict.fromkeys(ATTRIBUTES, ""),
        "split": "train",
    }
    numbered = ({"study_id": str(number)} | plain | row for number, row in enumerate(rows))
    return Dataset.from_list(list(numbered), features=corpus_features(chest_xray()))


def check(dataset: Dataset, **options: Any) -> CorpusCheck:
    return check_corpus(dataset, source="here", **options)[0]


def sentences(found: CorpusCheck, *, serious: bool) -> str:
    return "\n".join(problem.text for problem in found.problems if problem.serious is serious)


def test_a_sound_corpus_has_no_serious_problem() -> None:
    rows = [
        {"findings": f"Finding {split}.", "impression": "None.", "patient_id": split, "split": split}
        for split in ("train", "val", "test")
    ]
    found = check(corpus(*rows))
    assert not found.serious
    assert found.counts["all"].patients == found.counts["all"].with_report == 3
    assert [found.counts[split].studies for split in ("train", "val", "test")] == [1, 1, 1]


def test_patients_ids_and_splits_that_no_trainer_would_read_are_counted() -> None:
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
    assert (found.torn_patients, found.repeated_ids, found.damaged, found.empty) == (1, 1, 1, 1)
    assert (found.strange_splits, found.without_patient) == (("dev",), 2)
    for sentence in ("1 patients have studies", "1 study ids occur", "1 studies have NUL", "unknown split 'dev'"):
        assert sentence in sentences(found, serious=True)
    assert "1 studies have neither image, report nor label" in sentences(found, serious=False)
    assert "no studies in val" in sentences(found, serious=False)


def test_test_reports_that_stand_in_train() -> None:
    nearly = LONG.replace("intact", "normal")
    found = check(
        corpus(
            {"findings": LONG, "impression": "Normal."},
            {"findings": LONG.upper(), "impression": "Normal.", "split": "test"},
            {"findings": LONG, "impression": "No acute disease.", "split": "test"},
            {"findings": nearly, "impression": "Normal.", "split": "test"},
            {"findings": "Large effusion.", "split": "test"},
            {"impression": "Effusion.", "split": "val"},
        )
    )
    assert found.in_train["findings"] == {"test": Copies(held=4, same=0.5, alike=None)}
    assert found.in_train["impression"]["test"] == Copies(held=3, same=2 / 3, alike=None)
    assert found.in_train["report"]["test"] == Copies(held=4, same=0.25, alike=0.75)
    assert found.in_train["report"]["val"] == Copies(held=1, same=0, alike=0)
    assert found.reports == Duplicates(items=6, distinct=5, alike=3, clusters=1)
    assert "50% of the test findings stand word for word in train" in sentences(found, serious=False)


def test_marks_priors_lengths_and_findings() -> None:
    labels = [1.0 if name == "Edema" else 0.0 if name == "Fracture" else None for name in FINDINGS]
    found = check(
        corpus(
            {"findings": "Stable cardiomegaly. No edema.", "indication": "XXXX with cough", "labels": labels},
            {"findings": "The ___ heart is enlarged. Possible pneumonia.", "impression": "Cardiomegaly."},
            {"comparison": "Compared to the prior study."},
        )
    )
    assert (found.marked, found.with_prior, found.prior_sentences) == (1, 1, pytest.approx(1 / 5))
    assert {name: section.studies for name, section in found.sections.items()} == {
        "indication": 1,
        "comparison": 1,
        "findings": 2,
        "impression": 1,
    }
    assert found.sections["indication"].marked == 1
    assert (found.sections["findings"].words["0"], found.sections["findings"].words["100"]) == (4, 7)
    assert found.said["Cardiomegaly"] == Support(present=2, absent=0)
    assert found.said["Pneumonia"] == Support(present=0, absent=0, uncertain=1)
    assert found.said["Edema"] == Support(present=0, absent=1)
    assert (found.labelled["Edema"], found.labelled["Fracture"]) == (
        Support(present=1, absent=0),
        Support(present=0, absent=1),
    )


@pytest.fixture
def films(tmp_path: Path) -> Dataset:
    """Four pictures, one of them twice and in two splits; one broken, one blank, one missing."""
    names = {name: str(write_png(tmp_path / f"{name}.png", picture(seed))) for seed, name in enumerate("abcd")}
    names["e"] = str(write_png(tmp_path / "e.png", picture(0)))
    names["blank"] = str(write_png(tmp_path / "blank.png", picture(0) * 0))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    rows = [
        {"images": [names["a"], names["b"]], "view_positions": ["PA", "LATERAL"], "findings": "Quokka."},
        {"images": [names["c"], str(tmp_path / "broken.png")], "view_positions": ["PA", "PA"]},
        {"images": [names["blank"], str(tmp_path / "absent.png")], "view_positions": ["AP", "UNKNOWN"]},
        {"images": [names["d"], names["e"]], "view_positions": ["PA", "PA"], "split": "test"},
    ]
    return corpus(*rows)


def test_images(films: Dataset) -> None:
    done: list[int] = []
    found = check(films, progress=done.append)
    assert found.images is not None
    counts = (found.images.named, found.images.missing, found.images.unreadable, found.images.blank)
    assert counts == (8, 1, 1, 1)
    assert found.images.duplicates == Duplicates(items=5, distinct=4, alike=0, clusters=0)
    assert found.images.in_train == {"test": Copies(held=2, same=0.5, alike=0.5)}
    assert [fault.rpartition("/")[2].partition(":")[0] for fault in found.images.faults] == ["broken.png", "absent.png"]
    assert found.views == {"PA": 5, "LATERAL": 1, "AP": 1, "UNKNOWN": 1}
    assert done == [4]
    for sentence in ("1 of 8 images are missing", "1 of 8 images cannot be read", "50.0% of the test images stand in"):
        assert sentence in sentences(found, serious=True)
    for sentence in ("1 images are copies", "1 images are blank", "view of 12%"):
        assert sentence in sentences(found, serious=False)


def test_images_are_left_alone_on_request(films: Dataset) -> None:
    found = check(films, examine_images=False)
    assert found.images is None
    assert not found.serious
    assert found.counts["all"].images == 8


def test_figures_quote_no_report_and_the_page_warns_that_it_does(films: Dataset, tmp_path: Path) -> None:
    found, example_images = check_corpus(films, source="<corpus>")
    write_json(found, tmp_path / "check.json")
    console = Console(width=200, file=io.StringIO())
    console.print(render_check(found))
    figures = (tmp_path / "check.json").read_text()
    assert json.loads(figures)["images"]["missing"] == 1
    assert json.loads(figures)["serious"] is True
    assert "1 of 8 images are missing" in console.file.getvalue()
    assert "Quokka" not in figures + console.file.getvalue()
    page = read_page(replace(example_images, commonest=((2, "Quokka <b>."),)), found, tmp_path)
    assert "shows images of patients" in page
    assert "Quokka &lt;b&gt;." in page
    assert page.count('src="data:image/jpeg;base64,') == 1
    assert "<corpus>" not in page


def read_page(example_images: ExampleImages, found: CorpusCheck, folder: Path) -> str:
    """The page, after a look whether its elements are well nested and none of them loads anything."""
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


def test_the_draw_of_pictures_follows_the_seed(tmp_path: Path) -> None:
    films = [str(write_png(tmp_path / f"{seed}.png", picture(seed))) for seed in range(100)]
    dataset = corpus(*({"images": [film], "view_positions": ["PA"]} for film in films))
    first, again, other = (check_corpus(dataset, source="", seed=seed)[1].pictures for seed in (1, 1, 2))
    drawn = [{shown.pixels.tobytes() for shown in pictures} for pictures in (first, again, other)]
    assert len(drawn[0]) == 48
    assert drawn[0] == drawn[1] != drawn[2]


def test_look_alikes_are_shown_in_pairs(tmp_path: Path) -> None:
    write_png(tmp_path / "film.png", picture(0, size=128))
    soft = tmp_path / "soft.png"
    write_png(soft, picture(0, size=128) // 2 + 64)
    row = {"images": [str(tmp_path / "film.png"), str(soft)], "view_positions": ["PA", "PA"], "findings": "x"}
    found, example_images = check_corpus(corpus(row), source="here")
    assert found.images is not None
    assert found.images.duplicates == Duplicates(items=2, distinct=2, alike=2, clusters=1)
    assert [shown.caption for shown in example_images.look_alikes] == ["study 1", "study 1"]


@pytest.mark.realdata
def test_the_share_of_test_findings_that_stand_in_train(shared: Path) -> None:
    """47% of the 590 test reports of the R2Gen split, as counted independently of this code."""
    dataset = read_corpus(shared / "data" / "iu_xray" / "annotation.json", require_images=None, check=False)
    found, example_images = check_corpus(dataset, source="iu_xray", examine_images=False)
    assert found.in_train["findings"]["test"].held == 590
    assert found.in_train["findings"]["test"].same == pytest.approx(0.47, abs=0.005)
    assert "47% of the test and 22% of the val findings stand word for word in train" in sentences(found, serious=False)
    assert 0.40 < found.marked / 2955 < 0.45
    assert example_images.commonest[0][0] > 20


@pytest.mark.realdata
def test_radiographs_of_many_patients_do_not_look_alike(shared: Path) -> None:
    found = check(read_corpus(shared / "data" / "nih_cxr", require_images=None, check=False))
    assert found.images is not None
    assert (found.images.unreadable, found.images.duplicates.alike) == (0, 0)
    assert found.labelled["Cardiomegaly"].present > 0
