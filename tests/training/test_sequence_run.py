"""A recipe with a sequence encoder, from the offsets in a manifest to the findings of drafts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_gen_training.engine.session import train

from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.evaluation import select_studies
from report_gen.evaluation.rows import study_from_row
from report_gen.generation import Decoding
from report_gen.model import load_checkpoint
from tests.builders import tiny_recipe
from tests.drawn_sequences import draw_growth, write_corpus

FINDING = "Lung Lesion"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_corpus(folder / "images", draw_growth, finding=FINDING, pairs={"train": 60, "val": 5, "test": 10})
    return folder


def correct_pairs(data: Path, kind: str) -> float:
    """Train on cached features with a moving average of the weights, and return the share of correct pairs in drafts.

    A pair has the same images; it is correct if the study with the finding has the higher probability.
    """
    chosen = tiny_recipe(data).model.model_dump() | {"sequence": {"kind": kind, "width": 32, "layers": 1, "heads": 2}}
    rates = {"encoder": 0.0, "projector": 3e-3, "decoder": 0.0}
    stage = {"steps": 120, "batch_size": 24, "validate_every": 120, "rates": rates, "cached_features": 1}
    recipe = tiny_recipe(data, model=chosen, stage=stage | {"ema_decay": 0.9, "checkpoint_metric": "loss"})
    folder = train(recipe, data / kind, resume=False, on_step=lambda _: None)
    assert load_checkpoint(folder).model.config.sequence == recipe.model.sequence
    drafter, brief = Drafter.load(folder), Decoding(method="greedy", max_tokens=2)
    rows = select_studies(read_corpus(data / "images"), "test")
    reports = [drafter.draft(study_from_row(row), decoding=brief) for row in rows]
    found = [finding.probability for report in reports for finding in report.findings if finding.name == FINDING]
    return float(np.mean([present > absent for absent, present in zip(found[::2], found[1::2], strict=True)]))


@pytest.mark.parametrize("kind", ["recurrent", "attention"])
def test_a_recipe_learns_from_the_offsets_of_a_corpus(data: Path, kind: str) -> None:
    assert correct_pairs(data, kind) >= 0.95
