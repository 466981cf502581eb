"""The comparison with transformers on two images, and on texts that differ."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.benchmarks.equal_texts import compare, main

from report_gen.phantom import draw_chest, write_png


def test_the_embedded_model_writes_the_texts_of_transformers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(write_png(tmp_path / f"{seed}.png", draw_chest(seed=seed))) for seed in range(2)])
    printed = capsys.readouterr().out
    assert printed.count("2 of 2") == 3


def test_texts_that_differ_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = [write_png(tmp_path / f"{name}.png", draw_chest()) for name in "ab"]
    equal = compare({"greedy": lambda _: [(1, 2), (3,)]}, {"greedy": lambda _: [(1, 2), (4,)]}, images)
    assert equal == {"greedy": 1}
    printed = capsys.readouterr().out
    assert "b.png, greedy" in printed
    assert "a.png" not in printed
