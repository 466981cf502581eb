"""A whole experiment on a tiny corpus: two runs, one training; finished work is not repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_gen_training.experiments import trials
from report_gen_training.experiments.__main__ import main
from report_gen_training.recipe.schema import Recipe

from report_gen.errors import UsageError
from tests.builders import tiny_recipe, write_corner_corpus

QUESTION = """
title = "Greedy or sampled?"
recipe = "images"
corpus = "images"
nearest = false
decoding = { max_tokens = 4 }
[[runs]]
name = "greedy"
[[runs]]
name = "sampled"
decoding = { method = "sample", max_tokens = 4 }
"""


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    recipe = tiny_recipe(
        write_corner_corpus(tmp_path, copies=3),
        stage={"steps": 2, "rates": {"decoder": 1e-3}},
        corpora=[{"name": "images", "path": "images", "hold_out": 0.2}],
        tensorboard=False,
    )

    def load(_: str, settings: list[str]) -> Recipe:
        return recipe.model_copy(update={"seed": int(settings[-1].removeprefix("seed="))})

    monkeypatch.setattr("report_gen_training.experiments.question.load_recipe", load)
    (tmp_path / "question.toml").write_text(QUESTION)
    return [str(tmp_path / "question.toml"), "--output", str(tmp_path / "out"), "--seeds", "5"]


def test_finished_runs_are_not_run_again(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments)
    folder = tmp_path / "out" / "question"
    assert (folder / "greedy" / "seed-5" / "run" / "best").is_dir()
    assert not (folder / "sampled" / "seed-5" / "run").exists()
    results = json.loads((folder / "results.json").read_text())
    assert list(results["runs"]) == ["greedy", "sampled"]
    assert results["studies"] == 12
    assert "BLEU-4: drop with blank images" in results["runs"]["sampled"]
    assert (folder / "results.md").read_text() in capsys.readouterr().out
    assert (folder / "results.png").exists()

    monkeypatch.setattr("report_gen_training.experiments.__main__.draw_results", lambda _: b"")  # it takes a second
    for name in ("train_watched", "evaluate"):
        monkeypatch.setattr(trials, name, lambda *_, **__: pytest.fail("repeated"))
    (folder / "results.md").unlink()
    main(arguments)
    assert json.loads((folder / "results.json").read_text()) == results
    assert (folder / "results.md").exists()


@pytest.mark.parametrize("seed", ["5", "-1"])
def test_a_seed_twice_or_below_0_is_refused(seed: str, arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="--seeds: give different whole numbers from 0 on"):
        main([*arguments, seed])
