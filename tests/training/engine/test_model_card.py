"""The model card says what a model was trained on, what was left out, and which findings it knows."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.engine.model_card import write_card

from report_gen.records.report import BANNER
from tests.builders import THRESHOLDS, tiny_config, tiny_recipe


def test_a_card_tells_what_was_learned_from_and_what_was_left_out(tmp_path: Path) -> None:
    card = write_card(
        tiny_recipe(tmp_path),
        tiny_config(
            findings={"present": (None, 0.5, *THRESHOLDS[2:])},
            attributes=[{"name": "plane", "values": ["axial", "coronal"]}],
        ),
        counts={"films": {"train": 7, "val": 2}},
        left_out={"films": 3},
        decoder="The decoder begins from scratch.",
    )
    assert BANNER in card
    assert "| films | 7 | 2 | 0 | 3 |" in card
    assert "The decoder begins from scratch." in card
    assert "Recognised and told besides: plane (axial, coronal)." in card
    assert "Findings with a threshold: Enlarged Cardiomediastinum, Cardiomegaly" in card


def test_a_card_does_not_say_that_numbers_tell_states(tmp_path: Path) -> None:
    known = {"counts": {}, "left_out": {}, "decoder": ""}
    cards = [write_card(tiny_recipe(tmp_path), tiny_config(conditioning=way), **known) for way in ("prefix", "numbers")]
    assert ["Told to the decoder of these: nothing. It reads features" in card for card in cards] == [False, True]
