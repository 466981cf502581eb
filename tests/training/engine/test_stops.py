"""SIGTERM and Ctrl-C: the step is finished, the state saved, and the run can be resumed."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora
from report_gen_training.engine import validation as validating
from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import Recipe
from report_gen_training.run import signals
from report_gen_training.run.events import Progress, Validation
from report_gen_training.run.folder import Run
from report_gen_training.run.signals import catch_stop_signals
from safetensors.torch import load_file

from report_gen.errors import StoppedError


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    data = write_corpora(tmp_path_factory.mktemp("data"), studies=4)
    return small_recipe(data, stage={"steps": 4, "validate_every": 2}, save_minutes=60.0)


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return load_file(train(recipe, folder, resume=False, on_step=lambda _: None) / "model.safetensors")


def at(stage: str, step: int, number: signal.Signals) -> Callable[[Progress | Validation], None]:
    """Return a callback that sends a signal to this process after a step."""

    def send(now: Progress | Validation) -> None:
        if (now.stage, now.step) == (stage, step):
            os.kill(os.getpid(), number)

    return send


def assert_resumes(recipe: Recipe, folder: Path, whole: dict[str, torch.Tensor]) -> None:
    resumed = load_file(train(recipe, folder, resume=True, on_step=lambda _: None) / "model.safetensors")
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=0, msg=name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_step_is_finished_and_saved(
    recipe: Recipe, whole: dict[str, torch.Tensor], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with pytest.raises(
        StoppedError, match=rf"stopped by {number.name} in stage 'decoder', step 1; continue with --res"
    ) as stop:
        train(recipe, tmp_path / "run", resume=False, on_step=at("decoder", 1, number))
    assert stop.value.exit_code == code
    state = Run(tmp_path / "run").load()
    assert state is not None
    assert (state.progress.stage, state.progress.step) == (1, 1)
    assert_resumes(recipe, tmp_path / "run", whole)


def test_an_interrupted_validation_is_repeated(
    recipe: Recipe, whole: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During validation the model has the averaged weights, but the saved weights must be its own."""
    drafts = validating.draft_studies

    def draft(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return drafts(*arguments)

    monkeypatch.setattr(validating, "draft_studies", draft)
    with pytest.raises(StoppedError, match="step 2"):
        train(recipe, tmp_path / "run", resume=False, on_step=lambda _: None)
    monkeypatch.undo()
    state = Run(tmp_path / "run").load()
    assert state is not None
    assert (state.progress.step, state.progress.validated) == (2, 0)
    assert_resumes(recipe, tmp_path / "run", whole)


def test_a_stop_in_the_first_validation_of_a_stage_doubles_no_entry_of_the_log(
    recipe: Recipe, whole: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = validating.train_step

    def stop(model: Any, batch: Any, stage: Any) -> Any:
        if stage.name == "decoder":
            os.kill(os.getpid(), signal.SIGTERM)
        return step(model, batch, stage)

    monkeypatch.setattr(validating, "train_step", stop)
    with pytest.raises(StoppedError, match="stage 'decoder', step 0"):
        train(recipe, tmp_path / "run", resume=False, on_step=lambda _: None)
    monkeypatch.undo()
    assert_resumes(recipe, tmp_path / "run", whole)
    records = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    entries = Counter((record["kind"], record["stage"], record["step"]) for record in records)
    assert set(entries.values()) == {1}
    assert entries["stage", "decoder", 0] == 1


def test_the_first_signal_is_recorded_and_a_later_one_has_its_usual_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 30.0])
    monkeypatch.setattr(signals, "monotonic", lambda: next(clock))
    with catch_stop_signals() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal is signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)  # the launcher forwards the same Ctrl-C
        assert stop.signal is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with catch_stop_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
