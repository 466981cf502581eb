"""From packs of ChestX-ray14 to the batch: splits, weights, soft labels and boxes."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from report_gen_training.data import cache_images, image_transform
from report_gen_training.data.data_loading import TrainingData
from report_gen_training.data.preparation import PreparedCorpora, prepare
from report_gen_training.data.soft_label_files import write_soft_labels
from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import Recipe
from report_gen_training.run.events import Progress, ignore_progress
from report_gen_training.run.folder import Run
from report_gen_training.run.processes import Processes
from safetensors.torch import load_file

from report_gen.errors import RecipeError
from report_gen.labeling import chest_xray
from report_gen.model import load_checkpoint, predict_locations
from tests.builders import CORNERS, PROMPT, corner_image, tiny_recipe, write_manifest, write_png

FINDINGS = chest_xray().findings
EFFUSION = FINDINGS.index("Pleural Effusion")
TEXTS: dict[str, Any] = {"name": "texts", "path": "texts", "use_images": False}
"""Reports, from which the vocabulary is learned."""


def write_pack(folder: Path, patients: range, source: str, *, boxed: bool = False) -> None:
    """Write radiographs in the layout `nih`: of every two, one has a bright left upper corner, an effusion."""
    table = [("Image Index", "Finding Labels", "Patient ID", "View Position", "source", "stored_px")]
    boxes = [("image", "Image Index", "Finding Label", "x", "y", "w", "h")]
    for number in patients:
        name = f"{source}-{number}.png"
        write_png(folder / "images" / name, corner_image(number % 2, 64))
        table.append((name, ("Effusion", "No Finding")[number % 2], str(number), "PA", f"{source}/x@1", "64"))
        if boxed and number % 2 == 0:
            boxes.append((f"images/{name}", name, "Effusion", "0", "0", "512", "512"))
    for file, rows in (("labels.csv", table), ("boxes.csv", boxes)):
        with (folder / file).open("w", newline="") as lines:
            csv.writer(lines).writerows(rows)


def recipe(data: Path, *, stage: dict[str, Any] | None = None, **small: Any) -> Recipe:
    """Return a recipe of two packs with the same patients; `small` are further keys of the second."""
    corpora = [
        {"name": "large", "path": "large", "patient_ids": "nih", "source_weights": {"rm93": 3.0}},
        {"name": "small", "path": "small", "patient_ids": "nih", "held_out_sources": [], "loss_weight": 0.25} | small,
    ]
    stages = {"corpora": ["large", "small"], "mixing": "pooled", "rates": {"encoder": 1e-4, "projector": 1e-3}}
    return with_locations(tiny_recipe(data, corpora=[*corpora, TEXTS], stage=stages | (stage or {})))


def with_locations(chosen: Recipe) -> Recipe:
    return chosen.model_copy(update={"model": chosen.model.model_copy(update={"locations": True})})


def write_packs(data: Path) -> None:
    write_pack(data / "large", range(40), "rm93", boxed=True)
    write_pack(data / "small", range(20, 80), "other")
    write_texts(data)


def write_texts(data: Path) -> None:
    texts = [{"study_id": str(number), "findings": one, "impression": two} for number, (one, two) in enumerate(CORNERS)]
    write_manifest(data / "texts", texts)


def prepare_packs(data: Path, chosen: Recipe) -> PreparedCorpora:
    (data / "run").mkdir(exist_ok=True)
    return prepare(chosen, Run(data / "run"), PROMPT, on_progress=ignore_progress)


def test_patients_boxes_and_weights_reach_the_batch(tmp_path: Path) -> None:
    write_packs(tmp_path)
    chosen = recipe(tmp_path, mean=0.3, std=0.2)
    prepared = prepare_packs(tmp_path, chosen)
    examples = prepared.encoded.examples
    patients = {
        split: {one.patient_id for splits in examples.values() for one in splits[split]} for split in ("train", "val")
    }
    assert patients["train"]
    assert patients["val"]
    assert not patients["train"] & patients["val"]
    assert len(examples["small"]["val"]) == 0
    assert prepared.encoded.counts["small"].keys() == {"train", "left out"}

    batches = list(TrainingData(chosen, 0, prepared, Processes(Accelerator(cpu=True))).steps(0, 30))
    weights = Counter(weight for batch in batches for weight in batch.sample_weights.tolist())
    counts = {name: len(splits["train"]) for name, splits in examples.items()}
    assert weights[1.0] / weights.total() == pytest.approx(
        3 * counts["large"] / (3 * counts["large"] + counts["small"]), abs=0.06
    )
    assert set(weights) == {0.25, 1.0}
    boxed = [not boxes.isnan().all() for batch in batches for boxes in batch.boxes]
    positive = [
        bool(target[EFFUSION] == 1) and float(weight) == 1
        for batch in batches
        for target, weight in zip(batch.finding_targets, batch.sample_weights, strict=True)
    ]
    assert boxed == positive
    for batch in batches:
        for row, boxes in enumerate(batch.boxes[:, 0, EFFUSION]):
            for left, top, right, bottom in boxes[~boxes.isnan().any(dim=1)]:
                size = batch.pixel_values.shape[-1]
                rows, columns = (
                    slice(round(top.item() * size), round(bottom.item() * size)),
                    slice(round(left.item() * size), round(right.item() * size)),
                )
                square = batch.pixel_values[row, 0, 0]
                assert square[rows, columns].mean() > square.mean() + 0.2


def test_a_teacher_and_smoothing_change_the_targets_of_training_studies(tmp_path: Path) -> None:
    write_packs(tmp_path)
    names = [path.stem for path in (tmp_path / "small" / "images").iterdir()]
    write_soft_labels(tmp_path / "teacher.csv", names, ["Pleural Effusion"], np.full((60, 1), 0.5))
    plain, taught = (
        prepare_packs(tmp_path, recipe(tmp_path, **keys)).encoded.examples["small"]["train"]
        for keys in ({}, {"soft_label_file": "teacher.csv", "soft_labels": 0.5, "label_smoothing": 0.1})
    )
    before, after = (np.array([one.targets[EFFUSION] for one in store]) for store in (plain, taught))
    prevalence = before.mean()
    expected = 0.5 * (0.9 * before + 0.1 * prevalence) + 0.5 * prevalence  # the teacher is shifted to the prevalence
    np.testing.assert_allclose(after, expected, atol=1e-4)
    np.testing.assert_array_equal([one.labels for one in taught], [one.labels for one in plain])


def test_a_weight_of_an_unknown_source_is_refused(tmp_path: Path) -> None:
    write_packs(tmp_path)
    with pytest.raises(RecipeError, match=r"source_weights: the corpus 'small' has no source 'rm93'; its sources are"):
        prepare_packs(tmp_path, recipe(tmp_path, source_weights={"rm93": 2.0}))


def test_a_model_with_locations_learns_the_side_of_the_boxes(tmp_path: Path) -> None:
    """The effusions are in the left upper corner of the image, which is the patient's right."""
    write_packs(tmp_path)
    stage = {"steps": 60, "validate_every": 60, "rates": {"encoder": 1e-3, "projector": 1e-2}}
    chosen = recipe(tmp_path, stage=stage)
    model = load_checkpoint(train(chosen, tmp_path / "run", resume=False, on_step=lambda _: None)).model.eval()
    assert model.config.locations is not None
    assert [name for name, known in zip(FINDINGS, model.config.locations.trained, strict=True) if known] == [
        "Pleural Effusion"
    ]
    paths = [path for path in (tmp_path / "large" / "images").iterdir() if int(path.stem.split("-")[1]) % 2 == 0]
    images, _ = cache_images(tmp_path / "c", map(str, paths), image_transform(chosen), on_progress=ignore_progress)
    squares = torch.from_numpy(np.stack([images.read(path) for path in paths])).float() / 255
    views = torch.zeros(len(paths), 1, dtype=torch.long)
    with torch.inference_mode():
        pixel_values = image_transform(chosen).normalize(squares)[:, None]
        visual = model.encode_images(pixel_values, views, torch.ones_like(views).bool())
        assert visual.location_logits is not None
        parts = predict_locations(visual.location_logits, model.config.locations).parts[:, EFFUSION]
    assert parts[:, 0].float().mean() > 0.9  # right
    assert parts[:, 1].float().mean() < 0.1
    assert parts[:, 4].float().mean() < 0.1  # lower
    history = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [line["attention_loss"] for line in history if line["kind"] == "step" and line["attention_loss"]]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_sources_that_calibrate_are_marked(tmp_path: Path) -> None:
    write_packs(tmp_path)
    write_pack(tmp_path / "small", range(20, 80), "natural")
    prepared = prepare_packs(tmp_path, recipe(tmp_path, calibration_sources=["natural"]))
    examples = prepared.encoded.examples["small"]["train"]
    assert examples.calibrates.tolist() == [one.source.startswith("natural") for one in examples]
    assert prepared.encoded.examples["large"]["val"].calibrates.all()
    with pytest.raises(RecipeError, match="calibration_sources: the corpus 'small' has no source 'rm93'"):
        prepare_packs(tmp_path, recipe(tmp_path, calibration_sources=["rm93"]))


@pytest.mark.parametrize("cached_features", [0, 2])
def test_an_interrupted_run_on_packs_ends_in_the_same_weights(tmp_path: Path, cached_features: int) -> None:
    """With weights, boxes and own statistics, in the middle of an epoch."""

    def stop(now: Progress) -> None:
        if now.step == 9:
            raise KeyboardInterrupt

    write_packs(tmp_path)
    rates = {"encoder": 0.0 if cached_features else 1e-3, "projector": 1e-2}
    stage = {"steps": 24, "validate_every": 24, "cached_features": cached_features, "rates": rates}
    chosen = recipe(tmp_path, mean=0.3, std=0.2, stage=stage)
    whole = train(chosen, tmp_path / "whole", resume=False, on_step=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "run", resume=False, on_step=stop)
    resumed = train(chosen, tmp_path / "run", resume=True, on_step=lambda _: None)
    before, after = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-6, rtol=1e-6, msg=name)


def link_pack(source: Path, folder: Path, rows: int) -> None:
    """Link every n-th image of a pack, those with boxes first."""
    with (source / "labels.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        table = list(reader)
    boxed: set[str] = set()
    if (source / "boxes.csv").is_file():
        with (source / "boxes.csv").open(newline="") as file:
            boxed = {row["Image Index"] for row in csv.DictReader(file)}
    table = sorted(table, key=lambda row: row["Image Index"] not in boxed)
    table = table[: rows // 2] + table[rows // 2 :: len(table) // (rows // 2)]
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames or ())
        writer.writeheader()
        writer.writerows(table)
    for path in source.iterdir():
        if path.name != "labels.csv":
            (folder / path.name).symlink_to(path)


@pytest.mark.realdata
def test_real_packs_reach_the_batch(shared: Path, tmp_path: Path) -> None:
    """Radiographs are darker outside the boxes of hearts than inside, also after augmentation."""
    for name in ("nih_cxr", "nih_more", "nih_128"):
        link_pack(shared / "data" / name, tmp_path / name, 80)
    write_texts(tmp_path)
    corpora = [
        {"name": "nih_cxr", "path": "nih_cxr", "patient_ids": "nih", "soft_labels": 0.5, "sampling_weight": 3.0},
        {"name": "nih_more", "path": "nih_more", "patient_ids": "nih", "soft_labels": 0.5, "held_out_sources": []},
        {"name": "nih_128", "path": "nih_128", "patient_ids": "nih", "held_out_sources": [], "loss_weight": 0.5},
    ]
    names = [one["name"] for one in corpora]
    stage = {"corpora": names, "mixing": "pooled", "rates": {"projector": 1e-3}, "batch_size": 16, "steps": 8}
    chosen = with_locations(tiny_recipe(tmp_path, corpora=[*corpora, TEXTS], stage=stage))
    data = TrainingData(chosen, 0, prepare_packs(tmp_path, chosen), Processes(Accelerator(cpu=True)))
    batches = list(data.steps(0, 8))
    heart = FINDINGS.index("Cardiomegaly")
    inside, outside = [], []
    for batch in batches:
        assert torch.isfinite(batch.pixel_values).all()
        for square, boxes in zip(batch.pixel_values[:, 0, 0], batch.boxes[:, 0, heart], strict=True):
            for left, top, right, bottom in (boxes[~boxes.isnan().any(dim=1)] * 32).round().int().tolist():
                inside.append(square[top:bottom, left:right].mean())
                outside.append(square.mean())
    assert len(inside) >= 3
    assert torch.stack(inside).mean() > torch.stack(outside).mean()
