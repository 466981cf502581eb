"""Which examples a step sees: a function of seed and step, an epoch at a time, shared out among processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.batch_sampler import BatchSampler, SampleSpec
from report_gen_training.data.batch_sampler import _draw as plan_draw
from report_gen_training.data.example_store import group_by_kind
from report_gen_training.data.examples import TrainingExample
from report_gen_training.data.studies import nothing_known
from report_gen_training.recipe.schema import StageRecipe

from report_gen.config import STATES
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.study import ViewPosition
from tests.builders import store

FINDINGS = chest_xray().findings

PRESENT, ABSENT, UNKNOWN = map(STATES.index, (FindingState.PRESENT, FindingState.ABSENT, FindingState.UNKNOWN))


def example(*present: str, length: int = 5, images: int = 0) -> TrainingExample:
    states = np.full(17, UNKNOWN)
    states[[FINDINGS.index(name) for name in present]] = PRESENT
    return TrainingExample(
        labels=nothing_known(chest_xray()),
        study_id="",
        patient_id="",
        images=(Path("film.png"),) * images,
        views=(ViewPosition.PA,) * images,
        prompts=((1,), (2,)),
        report_ids=tuple(range(length)),
        abnormal=(False,) * length,
        reference="",
        states=states,
        targets=np.full(17, np.nan, dtype=np.float32),
    )


def stage(**changes: Any) -> StageRecipe:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 100, "batch_size": 4, "rates": {}}
    return StageRecipe.model_validate(values | changes)


def plan(
    *sizes: int, steps: range = range(12), seed: int = 0, rank: int = 0, processes: int = 1, **changes: Any
) -> BatchSampler:
    random = np.random.default_rng(0)
    groups = [store(*[example(length=int(random.integers(50))) for _ in range(size)]) for size in sizes]
    return BatchSampler(
        groups, stage(**changes), (seed, 0), schema=chest_xray(), steps=steps, rank=rank, processes=processes
    )


def test_the_same_seed_draws_the_same() -> None:
    assert list(plan(23)) == list(plan(23))
    assert list(plan(23)) != list(plan(23, seed=1))
    assert len(plan(23)) == len(list(plan(23))) == 12


@pytest.mark.parametrize("rare_finding_weight", [0.0, 0.5])
@pytest.mark.parametrize("start", [1, 5, 7, 11])
def test_a_resumed_run_goes_on_as_the_whole_one_would(start: int, rare_finding_weight: float) -> None:
    whole = list(plan(23, 9, rare_finding_weight=rare_finding_weight))
    assert list(plan(23, 9, rare_finding_weight=rare_finding_weight, steps=range(start, 12))) == whole[start:]


def test_groups_take_turns() -> None:
    assert [batch[0].group for batch in plan(20, 8, 4, steps=range(7))] == [0, 1, 2, 0, 1, 2, 0]
    assert all(len({draw.group for draw in batch}) == 1 for batch in plan(20, 8, 4))


def test_every_example_comes_once_an_epoch() -> None:
    places = [draw.place for batch in plan(24, steps=range(12)) for draw in batch]
    assert sorted(places[:24]) == sorted(places[24:]) == list(range(24))
    assert places[:24] != places[24:]


def test_what_does_not_fill_a_batch_waits_for_another_epoch() -> None:
    seen: set[int] = set()
    for epoch in range(12):
        places = [draw.place for batch in plan(23, steps=range(5 * epoch, 5 * epoch + 5)) for draw in batch]
        assert len(set(places)) == 20
        seen |= set(places)
    assert seen == set(range(23))


def test_a_group_smaller_than_a_batch_repeats_itself() -> None:
    for batch in plan(2, steps=range(3)):
        assert len(batch) == 4
        assert {draw.place for draw in batch} <= {0, 1}


def test_reports_of_like_length_share_a_batch() -> None:
    group = store(*[example(length=length) for length in np.random.default_rng(1).permutation(64)])
    spread = [
        np.ptp([len(group[draw.place].report_ids) for draw in batch])
        for batch in BatchSampler([group], stage(batch_size=8), (0, 0), steps=range(8), schema=chest_xray())
    ]
    assert max(spread) == 7


def test_every_draw_has_a_seed_of_its_own() -> None:
    draws = [draw for batch in plan(23, 9) for draw in batch]
    assert len({draw.seed for draw in draws}) == len(draws)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_out_every_batch(processes: int) -> None:
    whole = list(plan(23, 9))
    shares = [list(plan(23, 9, rank=rank, processes=processes)) for rank in range(processes)]
    for step, batch in enumerate(whole):
        shared: list[SampleSpec] = [draw for share in shares for draw in share[step]]
        assert sorted(shared) == sorted(batch)


def test_full_rarity_draws_findings_evenly() -> None:
    group = store(*[example()] * 900, *[example("Edema")] * 80, *[example("Fracture", "Edema")] * 20)
    draws = BatchSampler(
        [group], stage(batch_size=100, rare_finding_weight=1.0), (0, 0), steps=range(60), schema=chest_xray()
    )
    counts = Counter(
        "normal" if draw.place < 900 else "edema" if draw.place < 980 else "fracture"
        for batch in draws
        for draw in batch
    )
    # Each of 900 normal reports weighs 1/900, each of 80 with edema alone 1/100, each of 20 with a fracture 1/20.
    shares = {"normal": 1.0, "edema": 0.8, "fracture": 1.0}
    for kind, share in shares.items():
        assert counts[kind] / 6000 == pytest.approx(share / sum(shares.values()), abs=0.02)


def test_no_rarity_draws_reports_evenly() -> None:
    group = store(*[example()] * 90, *[example("Fracture")] * 10)
    draws = [
        draw.place
        for batch in BatchSampler([group], stage(), (0, 0), steps=range(50), schema=chest_xray())
        for draw in batch
    ]
    assert sum(place >= 90 for place in draws) == 20


def test_kinds() -> None:
    both, text, image = example(images=1), example(), example(images=2, length=0)
    groups = group_by_kind(store(both, text, image, text))
    assert [group.kinds.tolist() for group in groups] == [[[False, True]] * 2, [[True, False]], [[True, True]]]
    assert group_by_kind(store()) == []


def test_studies_with_as_many_views_share_a_batch() -> None:
    group = store(*[example(images=1 + number % 2) for number in range(64)])
    batches = list(BatchSampler([group], stage(batch_size=8), (0, 0), steps=range(8), schema=chest_xray()))
    assert all(len({int(group.views[draw.place]) for draw in batch}) == 1 for batch in batches)


def test_batches_of_one_step_follow_each_other() -> None:
    whole = list(plan(23, 9, steps=range(12)))
    assert list(plan(23, 9, steps=range(2, 4), accumulate=3)) == whole[6:12]
    assert len(plan(23, 9, steps=range(2, 4), accumulate=3)) == 6


def test_a_batch_that_cannot_be_halved_is_shared_out_too() -> None:
    shares = [list(plan(23, batch_size=5, rank=rank, processes=2)) for rank in range(2)]
    assert {len(batch) for batch in shares[0]} == {3}
    assert {len(batch) for batch in shares[1]} == {2}


def test_rare_findings_come_back_before_common_ones_are_through() -> None:
    """Drawn as often as the chance says, to within one: no luck is involved, as there would be with dice."""
    group = store(*[example()] * 30, *[example("Fracture")] * 10)
    places = Counter(
        d.place
        for batch in BatchSampler([group], stage(rare_finding_weight=1.0), (0, 0), steps=range(10), schema=chest_xray())
        for d in batch
    )
    assert all(places[place] in (0, 1) for place in range(30))
    assert all(places[place] == 2 for place in range(30, 40))


def test_every_report_comes_as_often_as_its_chance_says() -> None:
    """Weights without number: each as often as its own says, to within one."""
    chances = np.random.default_rng(0).random(200_000)
    drawn = plan_draw(chances, 200_000, np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=len(chances))
    expected = chances / chances.sum() * len(chances)
    assert np.abs(counts - expected).max() < 1


def test_without_a_finding_that_means_normal_normal_studies_are_drawn_too() -> None:
    """Of 8 normal studies and 2 with the one finding, half of the draws are of either kind."""
    schema = FindingSchema(name="own", findings=("Haemorrhage",))
    states, nothing = [np.array([PRESENT])] * 2 + [np.array([ABSENT])] * 8, nothing_known(schema)
    examples = store(*(replace(example(), states=one, labels=nothing, targets=nothing) for one in states))
    draws = BatchSampler(
        [examples], stage(batch_size=10, rare_finding_weight=1.0), (0, 0), steps=range(40), schema=schema
    )
    places = [draw.place for batch in draws for draw in batch]
    assert sum(place < 2 for place in places) == pytest.approx(200, abs=40)
    assert set(places) == set(range(10))
