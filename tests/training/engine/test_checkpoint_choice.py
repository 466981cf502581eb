"""The choice of the best weights: by the scores of the drafts, and never weights whose drafts are all the same."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data.batches import Batch
from report_gen_training.data.corpus_study import unknown_labels
from report_gen_training.data.examples import TrainingExample
from report_gen_training.engine import validation as validating
from report_gen_training.engine.checkpoint_choice import choose_studies, rank, score_drafts, validation_decoding
from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import StageRecipe
from report_gen_training.run.events import Validation
from report_gen_training.run.state import snapshot
from safetensors.torch import load_file

from report_gen.drafting import Drafter
from report_gen.generation import DEFAULT_DECODING, Decoding
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.metrics import Pairs, cider_d
from report_gen.model import Checkpoint
from report_gen.records import LOCATION_PARTS, ViewPosition, format_report, parse_report
from tests.builders import store, tiny_recipe, write_corner_corpus

ABNORMAL, NORMAL = "FINDINGS:\nThere is a pneumothorax.", "FINDINGS:\nThe lungs are clear."


CHOSEN_BY = ("macro F1, 14 findings, uncertain+", "CIDEr-D")


def example(name: str, *, report: bool = True, images: int = 0) -> TrainingExample:
    return TrainingExample(
        labels=unknown_labels(chest_xray()),
        study_id=name,
        patient_id=name,
        images=(Path("image.png"),) * images,
        views=(ViewPosition.PA,) * images,
        prompts=((1,), (1,), (2,), (2,)),
        report_ids=(5, 6) if report else (),
        abnormal=(False, False) if report else (),
        reference="The lungs are clear." if report else "",
        states=np.zeros(17, dtype=np.int64),
        locations=np.zeros((17, 5), dtype=np.bool_),
        targets=np.zeros(17, dtype=np.float32),
        location_targets=np.full((17, len(LOCATION_PARTS)), np.nan, dtype=np.float32),
    )


def stage(**changes: Any) -> StageRecipe:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}}
    return StageRecipe.model_validate(values | changes)


def validation(*, loss: float | None = 1.0, score: float | None = None, **changes: Any) -> Validation:
    scores = {} if score is None else {CHOSEN_BY[0]: 0.25 * score, CHOSEN_BY[1]: 0.75 * score}
    distinct = None if score is None else 1.0
    values: dict[str, Any] = {"stage": "s", "step": 1, "samples": (), "collapsed": False, "distinct": distinct}
    return Validation(**values | {"loss": loss, "scores": scores} | changes)


def test_drafts_are_scored_as_by_the_score_command() -> None:
    """By hand: of the two findings in the texts, drafts and references agree on one, so the F1 scores are 1 and 0."""
    drafts, references = [ABNORMAL, NORMAL, NORMAL], [ABNORMAL, NORMAL, "FINDINGS:\nThere is a pleural effusion."]
    scored = score_drafts(drafts, references, chest_xray())
    bodies = [[" ".join(text.split()[1:]) for text in texts] for texts in (drafts, references)]
    assert scored.scores["CIDEr-D"] == pytest.approx(float(cider_d(Pairs(*bodies)).values[0]))
    found = {"Pneumothorax": 1.0, "Pleural Effusion": 0.0, "No Finding": 2 / 3}
    assert scored.scores["macro F1, 14 findings, uncertain+"] == pytest.approx(sum(found.values()) / len(found))
    assert scored.distinct == pytest.approx(2 / 3)
    assert not scored.collapsed


def test_the_same_text_for_all_studies_is_a_collapse() -> None:
    references = [f"FINDINGS:\nThe heart is enlarged by {number}." for number in range(10)]
    scored = score_drafts([NORMAL] * 10, references, chest_xray())
    assert scored.collapsed
    assert scored.distinct == pytest.approx(0.1)


def test_the_score_chooses_and_the_loss_decides_among_equals() -> None:
    ranks = [
        rank(one, stage())
        for one in (
            validation(loss=9.0),  # not drafted
            validation(loss=8.0, score=3.0, collapsed=True),
            validation(loss=7.0, score=2.0, distinct=0.05),
            validation(loss=9.0, score=0.1),
            validation(loss=5.0, score=0.5),
            validation(loss=4.0, score=0.5),
        )
    ]
    assert all(found is not None for found in ranks)
    assert sorted(ranks) == ranks  # type: ignore[type-var]
    assert len(set(ranks)) == len(ranks)


def test_drafts_as_varied_as_the_recipe_asks_keep_their_score() -> None:
    for distinct, score in ((0.5, 2.0), (0.49, 0.0)):
        ranked = rank(validation(score=2.0, distinct=distinct), stage(min_distinct=0.5))
        assert ranked is not None
        assert ranked.score == pytest.approx(score)


def test_without_validation_studies_there_is_no_score() -> None:
    assert rank(validation(loss=None), stage()) is None


def test_a_loss_that_is_not_a_number_ranks_last() -> None:
    worst = rank(validation(loss=math.nan), stage())
    best = rank(validation(loss=1e9), stage())
    assert worst is not None
    assert best is not None
    assert worst < best


def test_studies_are_chosen_evenly_and_always_the_same() -> None:
    without_reports = store(*(example(f"a{n}", report=False, images=1) for n in range(50)))
    with_images = store(*(example(f"b{n}", images=1) for n in range(30)))
    texts_only = store(*(example(f"c{n}") for n in range(10)))
    chosen = choose_studies([without_reports, with_images, texts_only], 8)
    assert [[one.study_id for one in group] for group in chosen] == [
        ["b0", "b6", "b11", "b17", "b22", "b28"],
        ["c3", "c9"],
    ]
    assert [len(group) for group in choose_studies([without_reports, with_images, texts_only], 100)] == [30, 10]
    assert choose_studies([without_reports], 8) == []
    assert choose_studies([with_images], 0) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("greedy", Decoding(max_tokens=60)),
        ("beam", Decoding(method="beam", max_tokens=60)),
        ("default", replace(DEFAULT_DECODING, max_tokens=60)),
    ],
)
def test_the_recipe_chooses_the_decoding(name: str, expected: Decoding) -> None:
    assert validation_decoding(stage(validation_decoding=name), 60) == expected
    assert validation_decoding(stage(), 60) == Decoding(max_tokens=60)


@pytest.mark.parametrize("decoding", ["beam"])  # the default, greedy, takes the same path
def test_a_validation_drafts_what_the_finished_model_drafts(decoding: str, tmp_path: Path) -> None:
    """With the thresholds of that validation and the decoding of the recipe."""
    found: list[Validation] = []
    write_corner_corpus(tmp_path, copies=3)
    stage = {"steps": 60, "validate_every": 60, "validation_drafts": 12, "indication_dropout": 0.0}
    stage |= {"validation_decoding": decoding}
    stage |= {"rates": {"encoder": 1e-3, "projector": 5e-3, "decoder": 1e-2}}
    recipe = tiny_recipe(tmp_path, stage=stage)
    best = train(recipe, tmp_path / "run", resume=False, on_step=lambda _: None, on_validation=found.append)
    drafter, last = Drafter.load(best), found[-1]
    assert last.chosen
    assert [sample.study_id for sample in last.samples] == [f"val-{number}" for number in range(12)]
    assert "FINDINGS:" in last.samples[0].draft
    for sample in last.samples:
        report = drafter.draft(
            read_study(*sample.images), decoding=Decoding(method=decoding, max_tokens=60), indication="Cough."
        )
        assert format_report(report.describing_sections) == sample.draft


def test_the_weights_of_the_best_drafts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drafts are stubs: the references after step 2, then the same text for all, while the loss keeps falling."""
    write_corner_corpus(tmp_path, copies=3)
    recipe = tiny_recipe(tmp_path, stage={"steps": 6, "validate_every": 2, "validation_drafts": 12, "batch_size": 12})
    drafted: list[Any] = []
    found: dict[int, Validation] = {}
    kept: list[dict[str, torch.Tensor]] = []

    def draft(checkpoint: Checkpoint, batch: Batch, decoding: Decoding) -> list[Any]:
        drafted.append(batch)
        kept.append(snapshot(checkpoint.model))
        return [parse_report(text if len(drafted) == 1 else NORMAL) for text in batch.references]

    monkeypatch.setattr(validating, "draft_studies", draft)
    best = train(
        recipe,
        tmp_path / "run",
        resume=False,
        on_step=lambda _: None,
        on_validation=lambda now: found.update({now.step: now}),
    )
    assert [step for step, one in found.items() if one.chosen] == [0, 2]
    assert [step for step, one in found.items() if one.collapsed] == [4, 6]
    assert (found[6].loss or 0) < (found[2].loss or 0)
    weights = load_file(best / "model.safetensors")
    assert all(torch.equal(tensor, kept[0][name]) for name, tensor in weights.items())
    assert not all(torch.equal(tensor, kept[1][name]) for name, tensor in weights.items())


def test_a_collapse_is_reported_while_it_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corner_corpus(tmp_path, copies=3)
    recipe = tiny_recipe(tmp_path, stage={"steps": 4, "validation_drafts": 12})
    drafts = [parse_report(NORMAL)]
    monkeypatch.setattr(validating, "draft_studies", lambda _, batch, decoding: drafts * len(batch.references))
    collapsed: list[bool] = []
    train(recipe, tmp_path / "run", resume=False, on_step=lambda now: collapsed.append(now.collapsed))
    assert collapsed == [False, False, True, True]
