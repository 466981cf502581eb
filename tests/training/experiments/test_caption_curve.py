"""The curve of copied captions: its parts of the cases, its scores, and a whole run on a tiny corpus."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import timm
from report_gen_training.experiments.caption_curve import PARTS, CaptionedImages, load_images, main, measure_curve
from safetensors.torch import save_file

from report_gen.corpora.medpix import COLUMNS
from report_gen.errors import CorpusError
from tests.builders import noise_image, write_png

WORDS = ("mass", "cyst", "tear", "edema", "stone", "clot", "scar", "abscess")


def kinds(images: int) -> tuple[np.ndarray, CaptionedImages]:
    """Return features in which images of a kind, whose captions are equal, are near; a quarter is held out."""
    kind = np.arange(images) % len(WORDS)
    random = np.random.default_rng(0)
    features = np.eye(len(WORDS))[kind] + 0.01 * random.normal(size=(images, len(WORDS)))
    return features, CaptionedImages(
        paths=tuple(map(str, range(images))),
        cases=np.array([f"case {number}" for number in range(images)]),
        captions=tuple(f"The image shows a large {WORDS[one]} and nothing else at all." for one in kind),
        validation=np.arange(images) % 32 >= 24,
    )


def test_all_cases_contain_the_right_caption_and_few_do_not() -> None:
    features, images = kinds(320)
    points = measure_curve(features, images, 3)
    assert [point.cases for point in points] == [round(240 * part) for part in PARTS]
    assert [len(point.nearest) for point in points] == [3, 3, 3, 3, 1]
    assert points[-1].nearest[0][0] == pytest.approx(1.0)
    assert points[-1].agreed[0][0] == pytest.approx(1.0)
    few = measure_curve(features, CaptionedImages(**(vars(images) | {"validation": np.arange(320) >= 16})), 3)[0]
    assert few.cases == 1
    assert all(rouge < 1 for rouge, _ in few.nearest)


def write_medpix(folder: Path, cases: int) -> Path:
    with (folder / "train.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for number in range(cases):
            write_png(folder / f"{number}.png", noise_image(number))
            caption = f"Axial CT shows a {WORDS[number % 8]}."
            table.writerow({"image": f"{number}.png", "case_id": f"c{number}", "split": "train", "caption": caption})
    return folder


def test_a_run_writes_the_curve(tmp_path: Path) -> None:
    weights = timm.create_model("test_resnet", num_classes=0).state_dict()
    save_file(weights, tmp_path / "encoder.safetensors")
    corpus = write_medpix(tmp_path, 40)
    settings = ("model.encoder.name=test_resnet", "model.encoder.image_size=64", f"data={tmp_path}")
    chosen = [one for value in (*settings, "model.encoder_weights=encoder.safetensors") for one in ("--set", value)]
    main([str(corpus), *chosen, "--output", str(tmp_path / "out"), "--repeats", "2"])
    points = json.loads((tmp_path / "out" / "caption_curve.json").read_text())
    assert [len(point["nearest"]) for point in points] == [2, 2, 2, 2, 1]
    assert points[-1]["images"] == points[-1]["cases"] == sum(~load_images(corpus, hold_out=0.15).validation)
    assert "| training cases | images | 1-NN, ROUGE-L |" in (tmp_path / "out" / "caption_curve.md").read_text()


def test_a_corpus_without_held_out_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="change --hold-out"):
        load_images(write_medpix(tmp_path, 3), hold_out=0.0)
