"""The model card describes the training data, the studies left out, and the findings the model recognizes."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.engine.model_card import write_card

from report_gen.records import BANNER
from tests.builders import THRESHOLDS, tiny_config, tiny_recipe


def test_a_card_describes_training_data_and_findings(tmp_path: Path) -> None:
    card = write_card(
        tiny_recipe(tmp_path),
        tiny_config(
            findings={"present": (None, 0.5, *THRESHOLDS[2:])},
            attributes=[{"name": "plane", "values": ["axial", "coronal"]}],
        ),
        counts={"images": {"train": 7, "val": 2}},
        left_out={"images": 3},
        decoder="The decoder was trained from scratch.",
    )
    assert BANNER in card
    assert "| images | 7 | 2 | 0 | 3 |" in card
    assert "The decoder was trained from scratch." in card
    assert "Attributes: plane (axial, coronal)." in card
    assert "Findings with a threshold: Enlarged Cardiomediastinum, Cardiomegaly" in card


def test_a_card_does_not_claim_that_numbers_condition_on_findings(tmp_path: Path) -> None:
    known = {"counts": {}, "left_out": {}, "decoder": ""}
    cards = [write_card(tiny_recipe(tmp_path), tiny_config(conditioning=way), **known) for way in ("prefix", "numbers")]
    assert ["not conditioned on findings" in card for card in cards] == [False, True]
    assert ["Unknown to the decoder: " in card for card in cards] == [True, False]
