"""Examples as tensors: labels, padding, conditioning, and images that are never mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data.batch_sampler import BatchSampler
from report_gen_training.data.batches import IGNORED, Batch, BatchDataset
from report_gen_training.data.corpus_study import unknown_labels
from report_gen_training.data.examples import EncodedReport, TrainingExample
from report_gen_training.data.image_cache import cache_images
from report_gen_training.recipe.schema import AugmentationRecipe, StageRecipe
from report_gen_training.run.events import ignore_progress

from report_gen.config import STATES, VIEWS, AttributeConfig
from report_gen.imaging.transform import ImageTransform
from report_gen.labeling import chest_xray
from report_gen.records import LOCATION_PARTS, FindingState, ViewOffset, ViewPosition
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tests.builders import SIZE, noise_image, store, write_png

FINDINGS = chest_xray().findings


TRANSFORM = ImageTransform(size=SIZE, channels=3, mean=0.25, std=0.5)
PRESENT, ABSENT, UNKNOWN = (
    STATES.index(state) for state in (FindingState.PRESENT, FindingState.ABSENT, FindingState.UNKNOWN)
)


def states(**by_name: int) -> Any:
    row = np.full(17, UNKNOWN)
    for name, state in by_name.items():
        row[FINDINGS.index(name)] = state
    return row


TEXT = TrainingExample(
    labels=unknown_labels(chest_xray()),
    study_id="1",
    patient_id="",
    images=(),
    views=(ViewPosition.PA,),
    prompts=((10, 11, 12), (13,), (20,), (21,)),
    report_ids=(30, 31),
    abnormal=(False, True),
    reference="FINDINGS:\nEdema.",
    states=states(Edema=PRESENT),
    locations=np.zeros((17, 5), dtype=np.bool_),
    targets=np.full(17, np.nan, dtype=np.float32),
    location_targets=np.full((17, len(LOCATION_PARTS)), np.nan, dtype=np.float32),
)


def dataset(examples: Sequence[TrainingExample], stage: StageRecipe, *, training: bool) -> BatchDataset:
    paths = [path for example in examples for path in example.images]
    folder = paths[0].parent / "cache" if paths else Path("nowhere")
    images, _ = cache_images(folder, map(str, paths), TRANSFORM, on_progress=ignore_progress)
    parts: dict[str, Any] = {"images": images, "augmentation": AugmentationRecipe(), "training": training}
    return BatchDataset([store(*examples)], stage, TRANSFORM, **parts)


def batch(*examples: TrainingExample, training: bool = False, **changes: Any) -> Batch:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}, "indication_dropout": 0.0}
    stage = StageRecipe.model_validate(values | {"assume_absent": 0.0, "view_dropout": 0.0} | changes)
    return next(dataset(examples, stage, training=training).validation_batches(batch_size=len(examples)))


def with_images(folder: Path, *seeds: int) -> TrainingExample:
    paths = tuple(write_png(folder / f"{seed}.png", noise_image(seed)) for seed in seeds)
    return replace(TEXT, images=paths, views=(ViewPosition.PA, ViewPosition.LATERAL)[: len(paths)])


def assert_equal(first: Batch, second: Batch) -> None:
    assert (first.references, first.study_ids) == (second.references, second.study_ids)
    torch.testing.assert_close(first[:-2], second[:-2], rtol=0, atol=0, equal_nan=True)


def test_only_the_report_and_its_end_have_labels() -> None:
    longer = replace(TEXT, prompts=((10,), (13,), (20,), (21,)), report_ids=(40, 41, 42, 43, 44), abnormal=(False,) * 5)
    found = batch(TEXT, longer)
    assert found.input_ids.tolist() == [
        [10, 11, 12, BOS_ID, 30, 31, EOS_ID, PAD_ID],
        [10, BOS_ID, 40, 41, 42, 43, 44, EOS_ID],
    ]
    assert found.labels.tolist() == [
        [IGNORED] * 4 + [30, 31, EOS_ID, IGNORED],
        [IGNORED] * 2 + [40, 41, 42, 43, 44, EOS_ID],
    ]
    assert found.attention_mask.tolist() == [[1] * 7 + [0], [1] * 8]
    assert IGNORED == -100


def test_reports_without_images_have_no_views() -> None:
    found = batch(TEXT, TEXT)
    assert found.pixel_values.shape == (2, 0, 3, SIZE, SIZE)
    assert found.view_mask.shape == found.view_positions.shape == (2, 0)


def test_images_without_reports_have_no_tokens(tmp_path: Path) -> None:
    found = batch(replace(with_images(tmp_path, 0), report_ids=(), abnormal=()))
    assert found.input_ids.shape == found.labels.shape == found.attention_mask.shape == (1, 0)


def test_offsets_of_the_views(tmp_path: Path) -> None:
    """Unknown offsets and those of missing views are NaN; images of one study are of one day if nothing is stated."""
    stated = replace(with_images(tmp_path, 1, 2), offsets=(ViewOffset(mm=2.5, seconds=-4), ViewOffset(days=-30)))
    found = batch(with_images(tmp_path, 0), stated)
    nan = float("nan")
    expected = torch.tensor([[[nan, nan, 0], [nan, nan, nan]], [[2.5, -4, 0], [nan, nan, -30]]])
    torch.testing.assert_close(found.view_offsets, expected, rtol=0, atol=0, equal_nan=True)
    assert found.view_offsets.dtype == torch.float32
    assert batch(TEXT, TEXT).view_offsets.shape == (2, 0, 3)
    assert found.image_inputs[-1] is found.view_offsets


def test_missing_views_are_masked(tmp_path: Path) -> None:
    found = batch(with_images(tmp_path, 0), with_images(tmp_path, 1, 2))
    assert found.view_mask.tolist() == [[True, False], [True, True]]
    assert found.view_positions[1].tolist() == [VIEWS.index(ViewPosition.PA), VIEWS.index(ViewPosition.LATERAL)]
    assert found.pixel_values.shape == (2, 2, 3, SIZE, SIZE)
    expected = (torch.from_numpy(noise_image(2)).float() / 255 - 0.25) / 0.5
    for channel in range(3):
        torch.testing.assert_close(found.pixel_values[1, 1, channel], expected)


@pytest.mark.parametrize(("dropout", "prompt"), [(0.0, [10, 11, 12]), (1.0, [20])])
def test_indication_dropout(dropout: float, prompt: list[int]) -> None:
    found = batch(TEXT, indication_dropout=dropout)
    assert found.input_ids[0].tolist()[: len(prompt) + 1] == [*prompt, BOS_ID]


@pytest.mark.parametrize(("indication_dropout", "prompt"), [(0.0, [13]), (1.0, [21])])
def test_dropped_views_are_unknown_in_the_embedding_and_in_the_prompt(
    tmp_path: Path, indication_dropout: float, prompt: list[int]
) -> None:
    example = with_images(tmp_path, 0, 1)
    found = batch(example, view_dropout=1.0, indication_dropout=indication_dropout)
    assert found.view_positions.tolist() == [[VIEWS.index(ViewPosition.UNKNOWN)] * 2]
    assert found.view_mask.tolist() == [[True, True]]
    assert found.input_ids[0].tolist()[: len(prompt) + 1] == [*prompt, BOS_ID]
    torch.testing.assert_close(found.pixel_values, batch(example).pixel_values)


def test_views_are_dropped_in_the_given_share_of_studies_for_all_images_at_once(tmp_path: Path) -> None:
    example = with_images(tmp_path, 0, 1)
    values = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}, "indication_dropout": 0.0}
    stage = StageRecipe.model_validate(values)
    found = next(dataset([example] * 1000, stage, training=False).validation_batches(batch_size=1000))
    unknown = found.view_positions == VIEWS.index(ViewPosition.UNKNOWN)  # [B,V]
    assert torch.equal(unknown[:, 0], unknown[:, 1])
    assert torch.equal(unknown[:, 0], found.input_ids[:, 0] == 13)
    assert float(unknown[:, 0].float().mean()) == pytest.approx(0.15, abs=0.035)  # three standard deviations


@pytest.mark.parametrize(("assume", "others"), [(0.0, UNKNOWN), (1.0, ABSENT)])
def test_unmentioned_findings_may_be_given_as_absent(assume: float, others: int) -> None:
    given = batch(TEXT, assume_absent=assume).finding_states[0].tolist()
    assert given.pop(FINDINGS.index("Edema")) == PRESENT
    assert set(given) == {others}


def test_about_half_is_assumed_absent_at_one_half() -> None:
    given = batch(*[TEXT] * 100, assume_absent=0.5).finding_states
    share = (given == ABSENT).float().sum() / 1600
    assert float(share) == pytest.approx(0.5, abs=0.05)


def test_state_dropout_needs_images(tmp_path: Path) -> None:
    found = batch(with_images(tmp_path, 0), state_dropout=1.0, assume_absent=1.0)
    assert set(found.finding_states[0].tolist()) == {UNKNOWN}
    assert batch(TEXT, state_dropout=1.0).finding_states[0, FINDINGS.index("Edema")] == PRESENT


def test_validation_batches_are_the_same_every_time(tmp_path: Path) -> None:
    examples = [with_images(tmp_path, seed) for seed in range(3)]
    first, second = (batch(*examples, assume_absent=0.5, indication_dropout=0.5) for _ in range(2))
    assert_equal(first, second)


def test_images_are_augmented_only_in_training(tmp_path: Path) -> None:
    example = with_images(tmp_path, 0)
    assert torch.equal(batch(example).pixel_values, batch(example, augment=False).pixel_values)
    changed = batch(example, training=True, augment=True).pixel_values
    assert not torch.equal(changed, batch(example).pixel_values)
    assert torch.equal(batch(example, training=True, augment=False).pixel_values, batch(example).pixel_values)


@pytest.mark.parametrize("workers", [0, 1])
def test_training_batches_follow_the_sampler(tmp_path: Path, workers: int) -> None:
    examples = [with_images(tmp_path, seed) for seed in range(4)]
    stage = StageRecipe.model_validate({"name": "s", "corpora": ("c",), "steps": 3, "batch_size": 2, "rates": {}})
    made = dataset(examples, stage, training=True)
    sampler = BatchSampler([store(*examples)], stage, (0, 0), schema=chest_xray(), steps=range(3))
    before = torch.random.get_rng_state()
    found = list(made.training_batches(sampler, workers))
    assert len(found) == 3
    for one, specs in zip(found, sampler, strict=True):
        assert_equal(one, made[specs])
    assert torch.equal(torch.random.get_rng_state(), before)  # the model's dropout depends on it


def test_tokens_of_abnormal_sentences_have_the_weight_of_the_stage() -> None:
    found = batch(TEXT, replace(TEXT, prompts=((10,), (13,), (20,), (21,))), abnormal_weight=3.0)
    assert found.token_weights.tolist() == [[0, 0, 0, 0, 1, 3, 1], [0, 0, 1, 3, 1, 0, 0]]
    assert torch.equal(found.token_weights > 0, found.labels != IGNORED)


def test_a_batch_holds_study_ids_and_references() -> None:
    found = batch(TEXT, replace(TEXT, study_id="2", reference="IMPRESSION:\nNormal."))
    assert found.study_ids == ("1", "2")
    assert found.references == ("FINDINGS:\nEdema.", "IMPRESSION:\nNormal.")


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_batches_of_a_validation(processes: int) -> None:
    stage = StageRecipe.model_validate({"name": "s", "corpora": ("c",), "steps": 1, "rates": {}})
    made = dataset([replace(TEXT, study_id=str(number)) for number in range(11)], stage, training=False)
    shares = [[b.study_ids for b in made.validation_batches(3, rank, processes)] for rank in range(processes)]
    whole = [b.study_ids for b in made.validation_batches(3)]
    assert [id_ for ids in whole for id_ in ids] == [str(number) for number in range(11)]
    assert [shares[number % processes][number // processes] for number in range(len(whole))] == whole


def with_attributes(*examples: TrainingExample, **changes: Any) -> Batch:
    """Return a batch for a model that recognizes some modalities and planes."""
    attributes = [
        AttributeConfig(name="plane", values=("axial", "coronal")),
        AttributeConfig(name="modality", values=("CT", "MR")),
    ]
    values = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}}
    stage = StageRecipe.model_validate(values | changes)
    images, _ = cache_images(Path("nowhere"), (), TRANSFORM, on_progress=ignore_progress)
    parts: dict[str, Any] = {"images": images, "augmentation": AugmentationRecipe(), "attributes": attributes}
    dataset = BatchDataset([store(*examples)], stage, TRANSFORM, **parts, training=True)
    return next(dataset.validation_batches(len(examples)))


def test_attributes_of_the_corpus_condition_the_decoder() -> None:
    two = (replace(TEXT, attributes=values) for values in (("MR", "axial", "chest"), ("US", "", "")))
    found = with_attributes(*two, attribute_dropout=0.0)
    assert found.attribute_targets.tolist() == [[1, 2], [0, 0]]
    assert torch.equal(found.attribute_values, found.attribute_targets)


def test_dropped_attributes_remain_targets() -> None:
    found = with_attributes(*[replace(TEXT, attributes=("MR", "axial", ""))] * 300, attribute_dropout=0.25)
    assert found.attribute_targets.tolist() == [[1, 2]] * 300
    assert float((found.attribute_values == 0).float().mean()) == pytest.approx(0.25, abs=0.05)
    assert set(map(tuple, found.attribute_values.tolist())) == {(1, 2), (0, 2), (1, 0), (0, 0)}


def test_batches_of_a_model_without_attributes() -> None:
    found = batch(replace(TEXT, attributes=("MR", "axial", "")))
    assert found.attribute_values.shape == found.attribute_targets.shape == (1, 0)


def test_the_weight_of_a_study_is_in_every_loss_of_training_only(tmp_path: Path) -> None:
    examples = [replace(TEXT, loss_weight=0.5, study_id="light"), replace(TEXT, study_id="heavy")]
    kept = batch(*examples, abnormal_weight=4.0)
    assert kept.sample_weights.tolist() == [1, 1]
    groups = [store(*examples)]
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}, "batch_size": 2}
    stage = StageRecipe.model_validate(values | {"abnormal_weight": 4.0})
    sampler = BatchSampler(groups, stage, (0, 0), schema=chest_xray(), steps=range(1))
    found = next(dataset(examples, stage, training=True).training_batches(sampler, 0))
    light, heavy = found.study_ids.index("light"), found.study_ids.index("heavy")
    assert found.sample_weights[[light, heavy]].tolist() == [0.5, 1]
    weights = [[weight for weight in found.token_weights[row].tolist() if weight] for row in (light, heavy)]
    assert weights == [[0.5, 2, 0.5], [1, 4, 1]]  # report token, abnormal token, end token


def test_images_with_their_own_statistics_are_normalized_by_them(tmp_path: Path) -> None:
    usual, own = with_images(tmp_path, 0), replace(with_images(tmp_path, 1), normalization=(0.5, 0.2))
    found = batch(usual, own).pixel_values
    for row, (mean, std) in enumerate(((0.25, 0.5), (0.5, 0.2))):
        expected = (torch.from_numpy(noise_image(row)).float() / 255 - mean) / std
        torch.testing.assert_close(found[row, 0, 0], expected, atol=1e-5, rtol=1e-5)


EFFUSION = FINDINGS.index("Pleural Effusion")
LEFT = np.zeros((17, 5), dtype=np.bool_)
LEFT[EFFUSION] = (False, True, False, False, True)
LOCATED = replace(
    TEXT,
    report_ids=(40, 41, 42),
    abnormal=(True, True, True),
    reference="FINDINGS:\nLeft basilar effusion.",
    states=states(**{"Pleural Effusion": PRESENT}),
    locations=LEFT,
    without_places=EncodedReport((50, 51), (True, True), "FINDINGS:\nEffusion."),
)


def test_locations_condition_the_decoder_and_validation_keeps_them() -> None:
    found = batch(LOCATED, TEXT, location_dropout=1.0)
    assert found.finding_locations.shape == (2, 17, 5)
    assert found.finding_locations.dtype is torch.float32
    assert torch.equal(found.finding_locations[0], torch.from_numpy(LEFT).float())
    assert not found.finding_locations[1].any()
    assert found.references[0] == "FINDINGS:\nLeft basilar effusion."


def test_unknown_locations_come_with_the_report_without_places() -> None:
    found = batch(LOCATED, training=True, location_dropout=1.0)
    assert not found.finding_locations.any()
    assert found.input_ids[0].tolist() == [10, 11, 12, BOS_ID, 50, 51, EOS_ID]
    assert found.labels[0].tolist() == [IGNORED] * 4 + [50, 51, EOS_ID]
    assert found.references == ("FINDINGS:\nEffusion.",)
    assert found.finding_states[0, EFFUSION] == PRESENT


def test_locations_are_unknown_in_the_given_share_of_studies() -> None:
    found = batch(*[LOCATED] * 1000, training=True, location_dropout=0.3)
    unknown = ~found.finding_locations.flatten(1).any(1)
    assert float(unknown.float().mean()) == pytest.approx(0.3, abs=0.045)  # three standard deviations
    plain = torch.tensor([reference == "FINDINGS:\nEffusion." for reference in found.references])
    assert torch.equal(plain, unknown)


def test_a_report_that_needs_its_places_keeps_its_locations() -> None:
    found = batch(replace(LOCATED, without_places=None), training=True, location_dropout=1.0)
    assert torch.equal(found.finding_locations[0], torch.from_numpy(LEFT).float())


def test_locations_are_unknown_if_all_states_are(tmp_path: Path) -> None:
    image = with_images(tmp_path, 0)
    example = replace(LOCATED, images=image.images, views=image.views)
    found = batch(example, state_dropout=1.0)
    assert not found.finding_locations.any()
    assert found.references == ("FINDINGS:\nEffusion.",)


def test_the_random_choices_of_a_study_without_locations_are_the_same_with_location_dropout(tmp_path: Path) -> None:
    example = with_images(tmp_path, 0)
    changes: dict[str, Any] = {"training": True, "assume_absent": 0.5, "indication_dropout": 0.5, "view_dropout": 0.5}
    assert_equal(batch(example, location_dropout=0.0, **changes), batch(example, location_dropout=1.0, **changes))
