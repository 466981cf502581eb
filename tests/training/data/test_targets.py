"""Targets of the finding head: smoothing, soft labels and teachers keep prevalences and adjudicated labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.soft_label_files import read_soft_labels, write_soft_labels
from report_gen_training.data.targets import Labels, mix_targets, read_labels, replace_soft_labels

from report_gen.corpora import Example
from report_gen.corpora.examples import build_dataset
from report_gen.errors import RecipeError
from report_gen.records import FindingSchema

SCHEMA = FindingSchema(name="two", findings=("Mass", "Edema"), aliases={"oedema": "Edema"})
NAN = float("nan")


def labels(hard: list[float], soft: list[float] | None = None, adjudicated: list[bool] | None = None) -> Labels:
    """Return the labels of one finding."""
    return Labels(
        np.array(hard, dtype=np.float32)[:, None],
        np.array(soft or [NAN] * len(hard), dtype=np.float32)[:, None],
        np.array(adjudicated or [False] * len(hard))[:, None],
    )


def mix(given: Labels, train: list[bool] | None = None, **keys: float) -> list[float]:
    chosen = np.array(train or [True] * len(given.hard))
    return mix_targets(given, chosen, **{"share": 0.0, "smoothing": 0.0} | keys)[:, 0].tolist()


def test_without_keys_the_targets_are_the_labels() -> None:
    np.testing.assert_array_equal(mix(labels([1, 0, NAN], [0.5, 0.5, 0.5])), [1, 0, NAN])


def test_smoothing_moves_labels_towards_their_prevalence() -> None:
    """Of four training labels one is positive: 0.8 * 1 + 0.2 * 0.25 and 0.8 * 0 + 0.2 * 0.25."""
    found = mix(labels([1, 0, 0, 0, NAN, 1]), [True] * 5 + [False], smoothing=0.2)
    np.testing.assert_allclose(found, [0.85, 0.05, 0.05, 0.05, NAN, 1.0], rtol=1e-6)
    assert np.mean(found[:4]) == pytest.approx(0.25)


def test_adjudicated_labels_are_neither_smoothed_nor_mixed() -> None:
    given = labels([1, 0, 1, 0], [0.3, 0.3, 0.3, 0.3], [True, True, False, False])
    found = mix(given, share=0.5, smoothing=0.2)
    assert found[:2] == [1, 0]
    assert 0 < found[3] < found[2] < 1


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_soft_labels_of_a_finding_that_all_or_no_studies_have(label: float) -> None:
    """No finite shift of the logits gives a prevalence of 0 or 1."""
    assert mix(labels([label] * 3, [0.2, 0.5, 0.9]), share=0.7) == pytest.approx([label] * 3, abs=1e-6)


def dataset(*images: tuple[str, ...], **columns: Any) -> Any:
    return build_dataset(
        (Example(study_id=str(n), images=paths, **columns) for n, paths in enumerate(images)), schema=SCHEMA
    )


def test_labels_are_read_by_finding() -> None:
    given = dataset(("a.png",), labels={"Edema": 1.0}, soft_labels={"Mass": 0.25}, adjudicated_findings=("Edema",))
    found = read_labels(given, SCHEMA)
    np.testing.assert_array_equal(found.hard, [[NAN, 1]])
    np.testing.assert_array_equal(found.soft, [[0.25, NAN]])
    np.testing.assert_array_equal(found.adjudicated, [[False, True]])


def test_a_teacher_replaces_soft_labels_of_training_images(tmp_path: Path) -> None:
    table = tmp_path / "teacher.csv"
    write_soft_labels(
        table, ["x/a.jpg", "b", "c", "d"], SCHEMA.findings, np.array([[0.1, 0.9], [0.3, NAN], [1, 1], [1, 1]])
    )
    teacher = read_soft_labels(table, SCHEMA)
    given = dataset(("in/a.png", "in/b.png"), ("e.png",), ("c.png",), soft_labels={"Mass": 0.5, "Edema": 0.5})
    found = replace_soft_labels(read_labels(given, SCHEMA), given, teacher, np.array([True, True, False]))
    np.testing.assert_allclose(found.soft, [[0.2, 0.5], [0.5, 0.5], [0.5, 0.5]])


def test_columns_of_a_teacher_may_be_aliases(tmp_path: Path) -> None:
    (tmp_path / "teacher.csv").write_text("oedema,image\n0.5,a\n,b\n")
    found = read_soft_labels(tmp_path / "teacher.csv", SCHEMA)
    np.testing.assert_array_equal(found["a"], [NAN, 0.5])
    np.testing.assert_array_equal(found["b"], [NAN, NAN])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,Mass\n", "has no column 'image' or no rows"),
        ("file,Mass\na,0.5\n", "has no column 'image' or no rows"),
        ("image,Covid\na,0.5\n", "has a column 'Covid', which is not a finding; choose from Mass, Edema"),
        ("image,Mass\na,1.5\n", "'1.5' is not a probability from 0 to 1"),
        ("image,Mass\na,high\n", "'high' is not a probability from 0 to 1"),
        ("image,Mass\na,inf\n", "'inf' is not a probability from 0 to 1"),
        ("image,Mass\na\n", "has a row that does not have a value for each column"),
    ],
)
def test_a_wrong_table_of_a_teacher_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "teacher.csv").write_text(text)
    with pytest.raises(RecipeError, match=f"soft_label_file: .*{message}"):
        read_soft_labels(tmp_path / "teacher.csv", SCHEMA)


def test_a_missing_table_of_a_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"soft_label_file: .* is not a CSV table in UTF-8; correct the path"):
        read_soft_labels(tmp_path / "none.csv", SCHEMA)
