"""Thresholds of attributes from a cross-validation: folds by case, predictions of held-out cases, and a whole run."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from report_gen_training.experiments.attribute_thresholds import (
    AttributeImages,
    cross_validate,
    load_images,
    main,
    render,
)
from report_gen_training.recipe.schema import Rates, StageRecipe
from safetensors.torch import save_file

from report_gen.corpora.medpix import COLUMNS
from report_gen.errors import CorpusError, UsageError
from tests.builders import noise_image, write_png

STAGE = StageRecipe(name="heads", corpora=("slices",), steps=30, batch_size=16, rates=Rates(projector=0.1))


def images(kinds: list[int], cases: list[str]) -> AttributeImages:
    return AttributeImages(
        paths=tuple(map(str, range(len(kinds)))),
        cases=tuple(cases),
        values=(("CT", "MR"),),
        targets=np.array(kinds)[:, None],
    )


def features(kinds: list[int]) -> torch.Tensor:
    """Return [S,4,8] features whose first half is larger for the value 1 and whose second half is for the value 2."""
    values = np.random.default_rng(0).normal(scale=0.1, size=(len(kinds), 4, 8))
    for row, kind in enumerate(kinds):
        values[row, :, 4 * (kind - 1) : 4 * kind] += 1
    return torch.from_numpy(values).float()


def test_held_out_cases_are_recognized() -> None:
    kinds = [1, 2] * 20
    (predicted,) = cross_validate(
        features(kinds), images(kinds, [f"case {n}" for n in range(40)]), STAGE, folds=4, dropout=0.0
    )
    assert predicted.sum(axis=1) == pytest.approx(np.ones(40))
    assert (predicted.argmax(axis=1) + 1).tolist() == kinds


def test_no_image_is_predicted_by_heads_that_learned_its_case() -> None:
    """One case has the wrong values: heads that had learned it would repeat them."""
    right = [1, 2] * 20
    given = right[:36] + [3 - kind for kind in right[36:]]
    cases = [f"case {n}" for n in range(36)] + ["wrong"] * 4
    (predicted,) = cross_validate(features(right), images(given, cases), STAGE, folds=4, dropout=0.0)
    assert (predicted.argmax(axis=1) + 1).tolist() == right


def test_the_table_has_the_threshold_and_what_it_gives() -> None:
    kinds = [1, 2] * 10
    predicted = np.array([[0.9, 0.1], [0.1, 0.9]] * 10)
    table = render([predicted], images(kinds, [f"case {n}" for n in range(20)]), ["modality"], {"modality": 0.88})
    # All 20 are right: the bound is 20 / (20 + 1.645^2) = 0.881.
    assert "20 images of 20 cases." in table
    assert "| modality | 1.000 | 0.88 | 0.000 | 1.000 | 1.000 |" in table


def write_medpix(folder: Path, types: tuple[str, ...]) -> Path:
    with (folder / "train.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, (*COLUMNS, "type", "plane", "location_category"), restval="")
        table.writeheader()
        for number in range(16):
            write_png(folder / f"{number}.png", noise_image(number))
            row = {"type": types[number % len(types)], "plane": ("Axial", "Coronal")[number % 2]}
            part = {"location_category": ("Head", "Thorax")[number // 8]}
            table.writerow({"image": f"{number}.png", "case_id": f"c{number}", "split": "train"} | row | part)
    return folder


def test_a_run_writes_the_thresholds(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "encoder.safetensors")
    changes = [
        f"model.encoder_weights={tmp_path / 'encoder.safetensors'}",
        "model.encoder.name=test_resnet",
        "model.encoder.image_size=64",
        "stages.0.steps=2",
    ]
    corpus = write_medpix(tmp_path, ("CT", "MR"))
    arguments = [str(corpus), "--folds", "2", "--output", str(tmp_path / "out")]
    main([*arguments, *(word for change in changes for word in ("--set", change))])
    table = (tmp_path / "out" / "attribute_thresholds.md").read_text()
    assert table.startswith("16 images of 16 cases.")
    assert [line.split("|")[1].strip() for line in table.splitlines()[4:]] == ["modality", "plane", "body_part"]


def test_wrong_arguments_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folds 1"):
        main([str(tmp_path), "--folds", "1"])
    with pytest.raises(CorpusError, match="two values of modality"):
        load_images(write_medpix(tmp_path, ("CT",)), ["modality"])
