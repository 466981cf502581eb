"""The corpus of phantoms: reports, labels and images agree, and every split has every kind of chest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from report_gen.corpora import read_corpus
from report_gen.labeling import chest_xray, label_findings
from report_gen.phantom import draw_chest, write_phantom_corpus
from report_gen.records import FindingState

FINDINGS = chest_xray().findings

HEART, PLEURA = FINDINGS.index("Cardiomegaly"), FINDINGS.index("Pleural Effusion")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom_corpus(tmp_path_factory.mktemp("data") / "phantoms", studies=120, size=24)


def test_findings_and_impression_agree_with_the_labels(corpus: Path) -> None:
    for row in read_corpus(corpus):
        for text in (row["findings"], f"{row['findings']} {row['impression']}"):
            states = label_findings(text)
            for name, label in (("Cardiomegaly", row["labels"][HEART]), ("Pleural Effusion", row["labels"][PLEURA])):
                assert states[name] is (FindingState.PRESENT if label else FindingState.ABSENT), text
        assert not any(label is not None for index, label in enumerate(row["labels"]) if index not in (HEART, PLEURA))


def test_the_side_in_both_sections_is_that_of_the_image(corpus: Path) -> None:
    for row in list(read_corpus(corpus))[:12]:
        sides = [side for side in ("left", "right") if side in row["findings"]]
        assert sides == [side for side in ("left", "right") if side in row["impression"].lower()]
        image = np.asarray(PIL.Image.open(row["images"][0]))
        expected = draw_chest(
            *image.shape,
            seed=int(row["study_id"][-4:]),
            effusion=sides[0] if sides else None,  # type: ignore[arg-type]
            cardiomegaly=row["labels"][HEART] == 1,
        )
        np.testing.assert_array_equal(image, expected >> 4)


def test_every_split_has_each_kind_of_chest_equally_often(corpus: Path) -> None:
    kinds = Counter(
        (row["split"], row["labels"][HEART], "left" in row["findings"], "right" in row["findings"])
        for row in read_corpus(corpus)
    )
    assert len(kinds) == 3 * 6
    assert {(split, count) for (split, *_), count in kinds.items()} == {("train", 14), ("val", 2), ("test", 4)}


def test_the_same_call_writes_the_same_corpus_and_another_seed_another(tmp_path: Path) -> None:
    contents = [
        {
            file.name: file.read_bytes()
            for file in write_phantom_corpus(tmp_path / name, studies=6, size=24, seed=seed).iterdir()
        }
        for name, seed in (("first", 3), ("again", 3), ("other", 4))
    ]
    assert contents[0] == contents[1]
    assert all(contents[0][name] != contents[2][name] for name in contents[0])
