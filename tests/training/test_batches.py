"""Examples to tensors: labels, padding, what the decoder is told, and images that never flip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training import augmenting
from report_gen_training.augmenting import augment
from report_gen_training.batches import Batch, Items
from report_gen_training.examples import TrainingExample
from report_gen_training.objectives import IGNORED
from report_gen_training.plan import Plan
from report_gen_training.recipe import StageRecipe

from report_gen.model.config import STATES
from report_gen.model.projector import VIEWS
from report_gen.pixels import PixelTransform
from report_gen.report import FINDINGS, FindingState
from report_gen.study import ViewPosition
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID
from tests.builders import SIZE, marked, picture, write_png

TRANSFORM = PixelTransform(size=SIZE, channels=3, mean=0.25, std=0.5)
PRESENT, ABSENT, UNKNOWN = (
    STATES.index(state) for state in (FindingState.PRESENT, FindingState.ABSENT, FindingState.UNKNOWN)
)


def states(**told: int) -> Any:
    row = np.full(14, UNKNOWN)
    for name, state in told.items():
        row[FINDINGS.index(name)] = state
    return row


TEXT = TrainingExample(
    images=(),
    views=(ViewPosition.PA,),
    prompts=((10, 11, 12), (20,)),
    report_ids=(30, 31),
    states=states(Edema=PRESENT),
    targets=np.full(14, np.nan, dtype=np.float32),
)


def batch(*examples: TrainingExample, training: bool = False, **changes: Any) -> Batch:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}, "forget_indication": 0.0}
    stage = StageRecipe.model_validate(values | {"assume_absent": 0.0} | changes)
    items = Items([examples], stage, TRANSFORM, training=training)
    return next(items.validation(batch_size=len(examples)))


def with_images(folder: Path, *seeds: int) -> TrainingExample:
    paths = tuple(write_png(folder / f"{seed}.png", picture(seed)) for seed in seeds)
    return replace(TEXT, images=paths, views=(ViewPosition.PA, ViewPosition.LATERAL)[: len(paths)])


def test_only_the_report_and_its_end_are_to_be_learned() -> None:
    longer = replace(TEXT, prompts=((10,), (20,)), report_ids=(40, 41, 42, 43, 44))
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


def test_texts_without_images_have_no_views() -> None:
    found = batch(TEXT, TEXT)
    assert found.pixel_values.shape == (2, 0, 3, SIZE, SIZE)
    assert found.view_mask.shape == found.view_positions.shape == (2, 0)


def test_images_without_texts_have_no_tokens(tmp_path: Path) -> None:
    found = batch(replace(with_images(tmp_path, 0), report_ids=()))
    assert found.input_ids.shape == found.labels.shape == found.attention_mask.shape == (1, 0)


def test_missing_views_are_masked(tmp_path: Path) -> None:
    found = batch(with_images(tmp_path, 0), with_images(tmp_path, 1, 2))
    assert found.view_mask.tolist() == [[True, False], [True, True]]
    assert found.view_positions[1].tolist() == [VIEWS.index(ViewPosition.PA), VIEWS.index(ViewPosition.LATERAL)]
    assert found.pixel_values.shape == (2, 2, 3, SIZE, SIZE)
    expected = (torch.from_numpy(picture(2)).float() / 255 - 0.25) / 0.5
    for channel in range(3):
        torch.testing.assert_close(found.pixel_values[1, 1, channel], expected)


@pytest.mark.parametrize(("forget", "prompt"), [(0.0, [10, 11, 12]), (1.0, [20])])
def test_the_indication_is_forgotten_by_chance(forget: float, prompt: list[int]) -> None:
    found = batch(TEXT, forget_indication=forget)
    assert found.input_ids[0].tolist()[: len(prompt) + 1] == [*prompt, BOS_ID]


@pytest.mark.parametrize(("assume", "others"), [(0.0, UNKNOWN), (1.0, ABSENT)])
def test_what_a_text_does_not_mention_may_be_told_as_absent(assume: float, others: int) -> None:
    told = batch(TEXT, assume_absent=assume).finding_states[0].tolist()
    assert told.pop(FINDINGS.index("Edema")) == PRESENT
    assert set(told) == {others}


def test_about_half_is_assumed_absent_at_one_half() -> None:
    told = batch(*[TEXT] * 100, assume_absent=0.5).finding_states
    share = (told == ABSENT).float().sum() / 1300
    assert float(share) == pytest.approx(0.5, abs=0.05)


def test_states_are_forgotten_only_where_images_can_speak(tmp_path: Path) -> None:
    seen = batch(with_images(tmp_path, 0), forget_states=1.0, assume_absent=1.0)
    assert set(seen.finding_states[0].tolist()) == {UNKNOWN}
    assert batch(TEXT, forget_states=1.0).finding_states[0, FINDINGS.index("Edema")] == PRESENT


def test_validation_draws_the_same_every_time(tmp_path: Path) -> None:
    examples = [with_images(tmp_path, seed) for seed in range(3)]
    first, second = (batch(*examples, assume_absent=0.5, forget_indication=0.5) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)


def test_images_are_augmented_in_training_alone(tmp_path: Path) -> None:
    example = with_images(tmp_path, 0)
    assert torch.equal(batch(example).pixel_values, batch(example, augment=False).pixel_values)
    changed = batch(example, training=True, augment=True).pixel_values
    assert not torch.equal(changed, batch(example).pixel_values)
    assert torch.equal(batch(example, training=True, augment=False).pixel_values, batch(example).pixel_values)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_loader_gives_the_batches_of_the_plan(tmp_path: Path, workers: int) -> None:
    groups = [[with_images(tmp_path, seed) for seed in range(4)]]
    stage = StageRecipe.model_validate({"name": "s", "corpora": ("c",), "steps": 3, "batch_size": 2, "rates": {}})
    items, plan = Items(groups, stage, TRANSFORM, training=True), Plan(groups, stage, (0, 0), steps=range(3))
    found = list(items.loader(plan, workers))
    expected = [items._collate([items[draw] for draw in draws]) for draws in plan]
    assert len(found) == 3
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("place", range(4))
def test_augmenting_never_flips(place: int) -> None:
    square = torch.from_numpy(marked(place, 64)).float() / 255
    row, column = divmod(place, 2)
    for seed in range(50):
        changed = augment(square, np.random.default_rng(seed))
        halves = changed.unflatten(0, (2, 32)).unflatten(2, (2, 32)).mean((1, 3))
        assert divmod(int(halves.argmax()), 2) == (row, column)


def test_augmenting_stays_in_range_and_follows_its_seed() -> None:
    square = torch.from_numpy(picture(0)).float() / 255
    changed = augment(square, np.random.default_rng(3))
    assert changed.shape == square.shape
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
    assert torch.equal(changed, augment(square, np.random.default_rng(3)))
    assert not torch.equal(changed, augment(square, np.random.default_rng(4)))


def test_no_flip_is_called_in_training() -> None:
    for file in Path(augmenting.__file__).resolve().parent.glob("*.py"):
        assert "flip(" not in file.read_text(encoding="utf-8").lower(), file
