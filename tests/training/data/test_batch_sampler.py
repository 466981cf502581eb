"""The examples of a step depend on seed and step only; every epoch is complete; processes share each batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.batch_sampler import BatchSampler, SampleSpec
from report_gen_training.data.batch_sampler import _draw as draw
from report_gen_training.data.corpus_study import unknown_labels
from report_gen_training.data.example_store import ExampleStore, group_by_kind
from report_gen_training.data.examples import TrainingExample
from report_gen_training.recipe.schema import StageRecipe

from report_gen.config import STATES
from report_gen.labeling import chest_xray
from report_gen.records import LOCATION_PARTS, FindingSchema, FindingState, ViewPosition
from tests.builders import store

FINDINGS = chest_xray().findings


PRESENT, ABSENT, UNKNOWN = map(STATES.index, (FindingState.PRESENT, FindingState.ABSENT, FindingState.UNKNOWN))


def example(*present: str, length: int = 5, images: int = 0) -> TrainingExample:
    states = np.full(17, UNKNOWN)
    states[[FINDINGS.index(name) for name in present]] = PRESENT
    return TrainingExample(
        labels=unknown_labels(chest_xray()),
        study_id="",
        patient_id="",
        images=(Path("image.png"),) * images,
        views=(ViewPosition.PA,) * images,
        prompts=((1,), (1,), (2,), (2,)),
        report_ids=tuple(range(length)),
        abnormal=(False,) * length,
        reference="",
        states=states,
        locations=np.zeros((17, 5), dtype=np.bool_),
        targets=np.full(17, np.nan, dtype=np.float32),
        location_targets=np.full((17, len(LOCATION_PARTS)), np.nan, dtype=np.float32),
    )


def stage(**changes: Any) -> StageRecipe:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 100, "batch_size": 4, "rates": {}}
    return StageRecipe.model_validate(values | changes)


def sampler(
    *sizes: int, steps: range = range(12), seed: int = 0, rank: int = 0, processes: int = 1, **changes: Any
) -> BatchSampler:
    random = np.random.default_rng(0)
    groups = [store(*[example(length=int(random.integers(50))) for _ in range(size)]) for size in sizes]
    return BatchSampler(
        groups, stage(**changes), (seed, 0), schema=chest_xray(), steps=steps, rank=rank, processes=processes
    )


def test_the_same_seed_draws_the_same_batches() -> None:
    assert list(sampler(23)) == list(sampler(23))
    assert list(sampler(23)) != list(sampler(23, seed=1))
    assert len(sampler(23)) == len(list(sampler(23))) == 12


@pytest.mark.parametrize("rare_finding_weight", [0.0, 0.5])
@pytest.mark.parametrize("start", [1, 5, 7, 11])
def test_a_resumed_run_gets_the_batches_of_an_uninterrupted_one(start: int, rare_finding_weight: float) -> None:
    whole = list(sampler(23, 9, rare_finding_weight=rare_finding_weight))
    assert list(sampler(23, 9, rare_finding_weight=rare_finding_weight, steps=range(start, 12))) == whole[start:]


def test_groups_take_turns() -> None:
    assert [batch[0].group for batch in sampler(20, 8, 4, steps=range(7))] == [0, 1, 2, 0, 1, 2, 0]
    assert all(len({spec.group for spec in batch}) == 1 for batch in sampler(20, 8, 4))


def test_every_example_is_drawn_once_per_epoch() -> None:
    drawn = [spec.example for batch in sampler(24, steps=range(12)) for spec in batch]
    assert sorted(drawn[:24]) == sorted(drawn[24:]) == list(range(24))
    assert drawn[:24] != drawn[24:]


def test_examples_that_do_not_fill_a_batch_are_drawn_in_other_epochs() -> None:
    drawn: set[int] = set()
    for epoch in range(12):
        examples = [spec.example for b in sampler(23, steps=range(5 * epoch, 5 * epoch + 5)) for spec in b]
        assert len(set(examples)) == 20
        drawn |= set(examples)
    assert drawn == set(range(23))


def test_a_group_smaller_than_a_batch_is_repeated() -> None:
    for batch in sampler(2, steps=range(3)):
        assert len(batch) == 4
        assert {spec.example for spec in batch} <= {0, 1}


def test_reports_of_similar_length_share_a_batch() -> None:
    group = store(*[example(length=length) for length in np.random.default_rng(1).permutation(64)])
    spread = [
        np.ptp([len(group[spec.example].report_ids) for spec in batch])
        for batch in BatchSampler([group], stage(batch_size=8), (0, 0), schema=chest_xray(), steps=range(8))
    ]
    assert max(spread) == 7


def test_every_example_of_every_batch_has_its_own_seed() -> None:
    specs = [spec for batch in sampler(23, 9) for spec in batch]
    assert len({spec.seed for spec in specs}) == len(specs)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_every_batch(processes: int) -> None:
    whole = list(sampler(23, 9))
    shares = [list(sampler(23, 9, rank=rank, processes=processes)) for rank in range(processes)]
    for step, batch in enumerate(whole):
        shared: list[SampleSpec] = [spec for share in shares for spec in share[step]]
        assert sorted(shared) == sorted(batch)


def test_full_weight_of_rare_findings_samples_findings_evenly() -> None:
    group = store(*[example()] * 900, *[example("Edema")] * 80, *[example("Fracture", "Edema")] * 20)
    batches = BatchSampler(
        [group], stage(batch_size=100, rare_finding_weight=1.0), (0, 0), schema=chest_xray(), steps=range(60)
    )
    counts = Counter(
        "normal" if spec.example < 900 else "edema" if spec.example < 980 else "fracture"
        for batch in batches
        for spec in batch
    )
    # The weights are 1/900 for 900 normal reports, 1/100 for 80 with edema only, 1/20 for 20 with a fracture.
    shares = {"normal": 1.0, "edema": 0.8, "fracture": 1.0}
    for kind, share in shares.items():
        assert counts[kind] / 6000 == pytest.approx(share / sum(shares.values()), abs=0.02)


def test_without_weight_reports_are_sampled_evenly() -> None:
    group = store(*[example()] * 90, *[example("Fracture")] * 10)
    drawn = [
        spec.example
        for batch in BatchSampler([group], stage(), (0, 0), schema=chest_xray(), steps=range(50))
        for spec in batch
    ]
    assert sum(index >= 90 for index in drawn) == 20


def test_examples_are_grouped_by_kind() -> None:
    both, text, image = example(images=1), example(), example(images=2, length=0)
    groups = group_by_kind(store(both, text, image, text))
    assert [group.kinds.tolist() for group in groups] == [[[False, True]] * 2, [[True, False]], [[True, True]]]
    assert group_by_kind(store()) == []


def test_studies_with_equal_numbers_of_views_share_a_batch() -> None:
    group = store(*[example(images=1 + number % 2) for number in range(64)])
    batches = list(BatchSampler([group], stage(batch_size=8), (0, 0), schema=chest_xray(), steps=range(8)))
    assert all(len({int(group.views[spec.example]) for spec in batch}) == 1 for batch in batches)


def test_the_batches_of_a_step_are_consecutive() -> None:
    whole = list(sampler(23, 9, steps=range(12)))
    assert list(sampler(23, 9, steps=range(2, 4), accumulate=3)) == whole[6:12]
    assert len(sampler(23, 9, steps=range(2, 4), accumulate=3)) == 6


def test_an_odd_batch_is_shared_unevenly() -> None:
    shares = [list(sampler(23, batch_size=5, rank=rank, processes=2)) for rank in range(2)]
    assert {len(batch) for batch in shares[0]} == {3}
    assert {len(batch) for batch in shares[1]} == {2}


def test_rare_findings_repeat_before_common_ones_are_finished() -> None:
    """Systematic sampling draws each example as often as its weight requires, to within one."""
    group = store(*[example()] * 30, *[example("Fracture")] * 10)
    batches = BatchSampler([group], stage(rare_finding_weight=1.0), (0, 0), schema=chest_xray(), steps=range(10))
    counts = Counter(spec.example for batch in batches for spec in batch)
    assert all(counts[index] in (0, 1) for index in range(30))
    assert all(counts[index] == 2 for index in range(30, 40))


def test_every_example_is_drawn_as_often_as_its_weight_says() -> None:
    """Arbitrary weights: each count is within one of its expected value."""
    chances = np.random.default_rng(0).random(200_000)
    drawn = draw(chances, np.zeros(200_000, dtype=np.int64), 200_000, np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=len(chances))
    expected = chances / chances.sum() * len(chances)
    assert np.abs(counts - expected).max() < 1


def test_without_a_finding_that_means_normal_normal_studies_are_drawn_too() -> None:
    """Of 8 normal studies and 2 with the one finding, half of the draws are of either kind."""
    schema = FindingSchema(name="own", findings=("Haemorrhage",))
    states, nothing = [np.array([PRESENT])] * 2 + [np.array([ABSENT])] * 8, unknown_labels(schema)
    unlocated: dict[str, Any] = {
        "locations": np.zeros((1, 5), np.bool_),
        "location_targets": np.zeros((1, 5), np.float32),
    }
    made = replace(example(), labels=nothing, targets=nothing, **unlocated)
    examples = store(*(replace(made, states=one) for one in states))
    draws = BatchSampler(
        [examples], stage(batch_size=10, rare_finding_weight=1.0), (0, 0), steps=range(40), schema=schema
    )
    drawn = [spec.example for batch in draws for spec in batch]
    assert sum(index < 2 for index in drawn) == pytest.approx(200, abs=40)
    assert set(drawn) == set(range(10))


def of_source(source: str, weight: float, *, images: int = 1, length: int = 0) -> TrainingExample:
    return replace(example(images=images, length=length), source=source, sampling_weight=weight)


POOLED = {"mixing": "pooled", "batch_size": 10}


def pooled_groups() -> list[ExampleStore]:
    """Two corpora of images of unequal size, and one of reports."""
    first = store(*[of_source("rm93/a@1", 3.0)] * 41, *[of_source("other", 1.0)] * 17)
    second = store(*[of_source("", 0.5)] * 142)
    return [first, second, store(*[of_source("", 1.0, images=0, length=5)] * 30)]


def test_pooled_batches_are_drawn_from_all_corpora_of_a_kind() -> None:
    batches = list(BatchSampler(pooled_groups(), stage(**POOLED), (0, 0), schema=chest_xray(), steps=range(40)))
    assert [{spec.group for spec in batch} <= {0, 1} for batch in batches] == [True, False] * 20
    assert {frozenset(spec.group for spec in batch) for batch in batches[1::2]} == {frozenset([2])}
    assert sum(len({spec.group for spec in batch}) == 2 for batch in batches[::2]) > 15


@pytest.mark.parametrize("rare_finding_weight", [0.0, 0.5])
def test_every_source_gets_its_share_of_every_epoch_to_within_one_draw(rare_finding_weight: float) -> None:
    groups = pooled_groups()[:2]
    changes = POOLED | {"rare_finding_weight": rare_finding_weight}
    batches = list(BatchSampler(groups, stage(**changes), (0, 0), schema=chest_xray(), steps=range(60)))
    weights = {"rm93": 41 * 3.0, "other": 17 * 1.0, "small": 142 * 0.5}
    for epoch in range(3):  # 200 examples are 20 batches of 10
        drawn = Counter(
            ("small" if spec.group else "rm93" if spec.example < 41 else "other", spec.example)
            for batch in batches[20 * epoch : 20 * epoch + 20]
            for spec in batch
        )
        for source, weight in weights.items():
            counts = [count for (one, _), count in drawn.items() if one == source]
            assert abs(sum(counts) - 200 * weight / sum(weights.values())) < 1
            each = 200 * weight / sum(weights.values()) / len(pooled_indices(source))
            assert all(abs(count - each) < 1 for count in counts)


def pooled_indices(source: str) -> range:
    return range({"rm93": 41, "other": 17, "small": 142}[source])


@pytest.mark.parametrize("start", [1, 19, 20, 33])
def test_a_resumed_run_gets_the_same_pooled_batches(start: int) -> None:
    whole, rest = (
        list(
            BatchSampler(
                pooled_groups(), stage(**POOLED), (3, 1), schema=chest_xray(), steps=steps, rank=1, processes=2
            )
        )
        for steps in (range(40), range(start, 40))
    )
    assert rest == whole[start:]


def test_alternating_corpora_obey_the_weights_of_their_sources() -> None:
    first, *_ = pooled_groups()
    batches = BatchSampler([first], stage(batch_size=10), (0, 0), schema=chest_xray(), steps=range(50))
    drawn = Counter(spec.example < 41 for batch in batches for spec in batch)
    assert drawn[True] / 500 == pytest.approx(41 * 3 / (41 * 3 + 17), abs=0.02)


def test_rare_findings_count_by_labels_where_there_is_no_report() -> None:
    """Of 90 normal and 10 labeled images, a full weight draws half of either kind."""
    labels = unknown_labels(chest_xray())
    labels[FINDINGS.index("Fracture")] = 1
    labeled = replace(example(length=0, images=1), labels=labels)
    group = store(*[example(length=0, images=1)] * 90, *[labeled] * 10)
    batches = BatchSampler(
        [group], stage(batch_size=10, rare_finding_weight=1.0), (0, 0), schema=chest_xray(), steps=range(40)
    )
    drawn = [spec.example >= 90 for batch in batches for spec in batch]
    assert sum(drawn) / len(drawn) == pytest.approx(0.5, abs=0.02)
