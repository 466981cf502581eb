"""Fine-tuning that is stopped or killed, and resumed: the adapter is that of an undisturbed run, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.adapter_tuning import tune
from report_gen_training.recipe import TuningRecipe
from report_gen_training.run import Progress, Validation, signals

from report_gen import files
from report_gen.errors import StoppedError, UsageError
from tests.backends.tiny_models import write_llava
from tests.training.adapter_tuning.tuning_runs import describe, recipe, write_corpus


@pytest.fixture(scope="module")
def short(described: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> TuningRecipe:
    """Return a recipe with dropout, three studies in batches of two, and validations after steps 0, 2 and 4."""
    corpus = write_corpus(tmp_path_factory.mktemp("three"), studies=3)
    values: dict[str, Any] = {"steps": 4, "validate_every": 2, "accumulate": 2, "lora": {"dropout": 0.3}}
    return recipe(described["llava"], corpus, text={"max_report_tokens": 12}, validation_drafts=1, **values)


@pytest.fixture(scope="module")
def whole(short: TuningRecipe, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the adapter of an undisturbed run."""
    return (tune(short, tmp_path_factory.mktemp("runs") / "whole") / "adapter_model.safetensors").read_bytes()


def test_the_same_recipe_gives_the_same_adapter_and_another_seed_another(
    short: TuningRecipe, whole: bytes, tmp_path: Path
) -> None:
    assert (tune(short, tmp_path / "run") / "adapter_model.safetensors").read_bytes() == whole
    other = short.model_copy(update={"seed": 1})
    assert (tune(other, tmp_path / "other") / "adapter_model.safetensors").read_bytes() != whole


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_run_stopped_after_a_step_continues_exactly(
    short: TuningRecipe, whole: bytes, tmp_path: Path, step: int
) -> None:
    done: list[int] = []

    def on_step(now: Progress) -> None:
        done.append(now.step)
        if now.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match=f"stopped by SIGTERM in step {step}; continue with --resume"):
        tune(short, tmp_path / "run", on_step=on_step)
    assert not (tmp_path / "run" / "best").exists()
    checkpoint = tune(short, tmp_path / "run", resume=True, on_step=on_step)
    assert done == [1, 2, 3, 4]
    assert (checkpoint / "adapter_model.safetensors").read_bytes() == whole


def test_a_validation_is_left_on_a_stop_and_repeated(
    short: TuningRecipe, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validations: list[int] = []

    def on_validation(now: Validation) -> None:
        validations.append(now.step)

    always = signals.StopRequest(signal.SIGINT)
    monkeypatch.setattr("report_gen_training.adapter_tuning.session.catch_stop_signals", lambda: _Context(always))
    with pytest.raises(StoppedError, match="stopped by SIGINT in step 0; continue with --resume"):
        tune(short, tmp_path / "run", on_validation=on_validation)
    monkeypatch.undo()
    assert validations == []
    checkpoint = tune(short, tmp_path / "run", resume=True, on_validation=on_validation)
    assert validations == [0, 2, 4]
    assert (checkpoint / "adapter_model.safetensors").read_bytes() == whole


class _Context:
    def __init__(self, request: signals.StopRequest) -> None:
        self._request = request

    def __enter__(self) -> signals.StopRequest:
        return self._request

    def __exit__(self, *_: object) -> None:
        pass


class _Killed(BaseException):
    """The process ended here."""


@pytest.mark.parametrize("before", ["best.safetensors", "optimizer.safetensors", "training.json", "rename"])
def test_a_run_killed_between_two_files_continues_exactly(
    short: TuningRecipe, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """Files are kept as a killed process leaves them: nothing is cleaned up."""
    write, rename = files._write, Path.rename
    seen = 0

    def write_or_die(path: Path, *arguments: Any, **options: Any) -> None:
        nonlocal seen
        seen += path.name == before
        if path.name == before and (seen == 2 or before == "training.json"):
            raise _Killed
        write(path, *arguments, **options)

    def rename_or_die(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        if before == "rename" and Path(target).suffix == ".old":
            raise _Killed
        return renamed

    with monkeypatch.context() as patched:
        patched.setattr(files, "_write", write_or_die)
        patched.setattr(Path, "rename", rename_or_die)
        patched.setattr("report_gen.files.shutil.rmtree", lambda *_, **__: None)
        patched.setattr(Path, "exists", _never_in_an_error(Path.exists))
        with pytest.raises(_Killed):
            tune(short, tmp_path / "run")
    assert list((tmp_path / "run").glob(".*-*.tmp"))
    checkpoint = tune(short, tmp_path / "run", resume=True)
    assert (checkpoint / "adapter_model.safetensors").read_bytes() == whole
    assert not list((tmp_path / "run").glob(".*-*.tmp"))
    assert not list((tmp_path / "run").glob(".*-*.old"))


def _never_in_an_error(exists: Any) -> Any:
    """Return `Path.exists` that finds no older folder while an error is handled, so that none is restored."""

    def found(path: Path, **options: Any) -> bool:
        return not (path.suffix == ".old" and isinstance(sys.exception(), _Killed)) and exists(path, **options)

    return found


def test_a_finished_run_writes_its_checkpoint_again(short: TuningRecipe, whole: bytes, tmp_path: Path) -> None:
    tune(short, tmp_path / "run")
    (tmp_path / "run" / "best" / "adapter_model.safetensors").unlink()
    steps: list[Progress] = []
    checkpoint = tune(short, tmp_path / "run", resume=True, on_step=steps.append)
    assert steps == []
    assert (checkpoint / "adapter_model.safetensors").read_bytes() == whole


def test_another_base_or_recipe_is_refused(corpus: Path, tmp_path: Path) -> None:
    described = describe(write_llava(tmp_path / "llava"))
    run = recipe(described, corpus, steps=1, validation_drafts=1, text={"max_report_tokens": 8})
    tune(run, tmp_path / "run")
    with pytest.raises(UsageError, match=r"recipe.json: the run was started with another recipe; lora.rank changed"):
        tune(run.model_copy(update={"lora": run.lora.model_copy(update={"rank": 3})}), tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match="already holds a run; continue it with --resume"):
        tune(run, tmp_path / "run")
    weights = tmp_path / "llava" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))  # another last value
    with pytest.raises(UsageError, match=r"llava.toml: its weights are others than when the run was started; restore"):
        tune(run, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"step": 7}, "step = 7, but the stage has 1 steps"),
        ({"validated": 0, "stale": 3}, "stale = 3 does not fit 1 validations and patience = 5"),
        ({"stage": 1}, "stage = 1, but a fine-tuning is one stage"),
        ({"skipped": "x"}, "progress.skipped: Input should be a valid integer"),
    ],
)
def test_a_state_that_contradicts_the_recipe_is_refused(
    corpus: Path, described: dict[str, Path], tmp_path: Path, damage: dict[str, object], reason: str
) -> None:
    run = _trained(described, corpus, tmp_path)
    path = tmp_path / "run" / "last" / "state.json"
    state = json.loads(path.read_text())
    state["progress"] |= damage
    path.write_text(json.dumps(state))
    with pytest.raises(UsageError) as error:
        tune(run, tmp_path / "run", resume=True)
    assert reason in str(error.value)
    assert str(error.value).endswith("start a new run with another --output")


@pytest.mark.parametrize(("name", "by"), [("optimizer", "model"), ("best", "optimizer"), ("model", "")])
def test_a_state_with_other_tensors_is_refused(
    corpus: Path, described: dict[str, Path], tmp_path: Path, name: str, by: str
) -> None:
    run = _trained(described, corpus, tmp_path)
    last = tmp_path / "run" / "last"
    path = last / f"{name}.safetensors"
    path.write_bytes((last / f"{by}.safetensors").read_bytes() if by else path.read_bytes()[:99])
    with pytest.raises(UsageError, match="damaged or of another version"):
        tune(run, tmp_path / "run", resume=True)


def _trained(described: dict[str, Path], corpus: Path, folder: Path) -> TuningRecipe:
    """Return the recipe of a finished run of one step."""
    run = recipe(described["llava"], corpus, steps=1, validation_drafts=1, text={"max_report_tokens": 8})
    tune(run, folder / "run")
    return run
