"""Costs of the three kinds of conditioning: token counts and draft times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_gen_training.benchmarks.conditioning import main

from report_gen.errors import CheckpointError
from report_gen.labeling import chest_xray
from tests.builders import noise_image, tiny_config, tiny_model, tokenizer, write_checkpoint, write_png

FINDINGS = chest_xray().findings

WAYS = ("prefix", "cross_attention", "numbers")


def test_tokens_are_counted_and_drafts_timed(tmp_path: Path) -> None:
    folders = [str(write_checkpoint(tmp_path / way, model=tiny_model(tiny_config(conditioning=way)))) for way in WAYS]
    image, figures = str(write_png(tmp_path / "image.png", noise_image())), tmp_path / "costs.json"
    main([*folders, "--studies", image, "--rounds", "1", "--max-tokens", "5", "--json", str(figures)])
    prefix, crossing, numbers = json.loads(figures.read_text())["costs"]
    assert [one["conditioning"] for one in (prefix, crossing, numbers)] == list(WAYS)
    visual = len(FINDINGS) + 2
    prompt = len(tokenizer().encode("Chest.")) + 1
    assert (prefix["image_tokens"], prefix["prompt_tokens"]) == (visual, prompt)
    assert prefix["prefix_positions"] == visual + prompt
    assert (crossing["image_tokens"], crossing["prefix_positions"]) == (visual, prompt)
    line = len(tokenizer().encode("The features of the image are: 1.00, 1.00, 1.00, 1.00."))
    assert line <= numbers["image_tokens"] <= line + 4  # signs
    assert numbers["prefix_positions"] == numbers["image_tokens"] + prompt
    for one in (prefix, crossing, numbers):
        assert 0 < one["report_tokens"] <= 5
        assert one["seconds_alone"] > 0
        assert one["seconds_batched"] > 0


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        main([str(tmp_path / "none")])
