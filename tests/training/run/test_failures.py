"""Failures of the machine end in one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora
from report_gen_training.engine import stage as stages
from report_gen_training.engine.session import train
from report_gen_training.engine.train_step import Losses
from report_gen_training.recipe.schema import StageRecipe
from report_gen_training.run.failures import explain_failures
from torch.utils.data import DataLoader, Dataset

from report_gen.errors import CorpusError, ReportGenError, ResourceError, StudyError
from tests.builders import tiny_recipe, write_corner_corpus


def stage(batch_size: int = 6, accumulate: int = 2) -> StageRecipe:
    values = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}}
    return StageRecipe.model_validate(values | {"batch_size": batch_size, "accumulate": accumulate})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried ..."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 17592186044416 bytes."),
    ],
)
def test_memory(error: Exception) -> None:
    with pytest.raises(ResourceError) as raised, explain_failures(stage()):
        raise error
    assert str(raised.value) == (
        "stage 's': out of memory with batch_size = 6; batch_size = 3 with accumulate = 4 needs about half the memory "
        "for a step of the same size"
    )
    assert raised.value.exit_code == 5


def test_memory_that_torch_cannot_allocate() -> None:
    with pytest.raises(ResourceError, match="batch_size = 1; train a smaller model"), explain_failures(stage(1)):
        torch.empty(2**60)


def test_other_errors_pass_unchanged() -> None:
    for error in (RuntimeError("a bug"), CorpusError("images: gone")):
        with pytest.raises(type(error), match=str(error)), explain_failures(stage()):
            raise error


class Broken(Dataset[int]):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("error", "message"),
    [(CorpusError("images: gone"), "images: gone"), (StudyError(Path("a.png"), "broken"), "a.png: broken")],
)
def test_the_error_of_a_worker_process_comes_without_its_traceback(error: Exception, message: str) -> None:
    with pytest.raises(ReportGenError) as raised, explain_failures(stage()):
        list(DataLoader(Broken(error), num_workers=1))
    assert str(raised.value) == message


def test_a_worker_process_that_dies() -> None:
    with pytest.raises(ResourceError, match="--set workers=0"), explain_failures(stage()):
        raise RuntimeError("DataLoader worker (pid(s) 4711) exited unexpectedly")


def test_a_run_out_of_memory_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corner_corpus(tmp_path)
    step = stages.train_step

    def allocate(*arguments: Any, **options: Any) -> object:
        if torch.is_grad_enabled() and (tmp_path / "run" / "last").exists():
            torch.empty(2**60)
        return step(*arguments, **options)

    monkeypatch.setattr(stages, "train_step", allocate)
    with pytest.raises(ResourceError, match="stage 'all': out of memory with batch_size = 4; batch_size = 2 with acc"):
        train(tiny_recipe(tmp_path), tmp_path / "run", resume=False, on_step=lambda _: None)
    monkeypatch.undo()
    train(tiny_recipe(tmp_path), tmp_path / "run", resume=True, on_step=lambda _: None)


def test_single_steps_without_a_finite_loss_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two in a row, and one more after a good step, which the log shows; only three in a row would end the run."""
    factors = iter([float("nan"), float("inf"), 1.0, float("nan"), 1.0, 1.0, 1.0, 1.0])
    step = stages.train_step

    def spoiled(*arguments: Any, **options: Any) -> Losses:
        losses, factor = step(*arguments, **options), next(factors)
        report, finding = (None if one is None else one * factor for one in (losses.report, losses.finding))
        return replace(losses, report=report, finding=finding, total=losses.total * factor)

    monkeypatch.setattr(stages, "train_step", spoiled)
    moved = []
    recipe = small_recipe(write_corpora(tmp_path, studies=4), stage={"steps": 4, "accumulate": 1})
    train(recipe, tmp_path / "run", resume=False, on_step=lambda now: moved.append(now.loss))
    records = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    steps = [one for one in records if one["kind"] == "step" and one["stage"] == "image_encoder"]
    assert [one["skipped"] for one in steps] == [True, True, False, True]
    assert len(moved) == 8
