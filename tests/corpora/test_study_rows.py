"""Rows of one study, in any position, become one example."""

from __future__ import annotations

import pytest

from report_gen.corpora import Example, study_rows
from report_gen.corpora.study_rows import join_rows
from report_gen.errors import CorpusError


def rows(*names: str) -> list[tuple[str, Example]]:
    return [
        (f"row {number}", Example(study_id=name, images=(f"{number}.png",), view_positions=("PA",), findings=name))
        for number, name in enumerate(names)
    ]


def joined(*names: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.study_id, example.images) for example in join_rows(names, rows(*names))]


def test_a_study_has_the_position_of_its_last_row() -> None:
    assert joined("a", "b", "a", "c", "b", "a") == [
        ("c", ("3.png",)),
        ("b", ("1.png", "4.png")),
        ("a", ("0.png", "2.png", "5.png")),
    ]


def test_a_study_is_yielded_when_its_last_row_was_read() -> None:
    taken = []
    several = rows("a", "a", "b", "c")

    def read() -> object:
        for row in several:
            taken.append(row[0])
            yield row

    examples = join_rows([row[1].study_id for row in several], read())  # type: ignore[arg-type]
    next(examples)
    assert taken == ["row 0", "row 1"]


def test_two_ids_with_the_same_hash_stay_separate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_rows, "hash", len, raising=False)
    assert sorted(joined("a", "b", "a")) == [("a", ("0.png", "2.png")), ("b", ("1.png",))]


def test_rows_that_contradict_each_other_are_named() -> None:
    first, (_, second) = rows("a", "a")
    contrary = Example(study_id="a", images=second.images, view_positions=("PA",), findings="other")
    with pytest.raises(CorpusError, match="row 1 and an earlier row of the same study differ in findings"):
        list(join_rows(["a", "a"], [first, ("row 1", contrary)]))


def test_an_attribute_is_known_if_all_images_agree() -> None:
    three = [("CT", "axial", ""), ("CT", "coronal", "head"), ("CT", "axial", "head")]
    several = [
        (str(number), Example(study_id="a", modality=modality, plane=plane, body_part=part))
        for number, (modality, plane, part) in enumerate(three)
    ]
    (joined,) = join_rows("aaa", several)
    assert (joined.modality, joined.plane, joined.body_part) == ("CT", "", "")
