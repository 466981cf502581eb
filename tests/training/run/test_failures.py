"""A machine that gives out says so in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora
from report_gen_training.engine import stage as stages
from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import StageRecipe
from report_gen_training.run.failures import explaining_failures
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
    with pytest.raises(ResourceError) as told, explaining_failures(stage()):
        raise error
    assert str(told.value) == (
        "stage 's': out of memory with batch_size = 6; batch_size = 3 with accumulate = 4 takes about half the memory "
        "for a step as large"
    )
    assert told.value.exit_code == 5


def test_memory_that_torch_itself_cannot_get() -> None:
    with pytest.raises(ResourceError, match="batch_size = 1; train a smaller model"), explaining_failures(stage(1)):
        torch.empty(2**60)


def test_other_faults_pass() -> None:
    for error in (RuntimeError("a bug"), CorpusError("films: gone")):
        with pytest.raises(type(error), match=str(error)), explaining_failures(stage()):
            raise error


class Broken(Dataset[int]):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [(CorpusError("films: gone"), "films: gone"), (StudyError(Path("a.png"), "broken"), "a.png: broken")],
)
def test_the_error_of_a_process_that_makes_batches_comes_without_its_trace(error: Exception, said: str) -> None:
    with pytest.raises(ReportGenError) as told, explaining_failures(stage()):
        list(DataLoader(Broken(error), num_workers=1))
    assert str(told.value) == said


def test_a_process_that_makes_batches_and_dies() -> None:
    with pytest.raises(ResourceError, match="--set workers=0"), explaining_failures(stage()):
        raise RuntimeError("DataLoader worker (pid(s) 4711) exited unexpectedly")


def test_a_run_out_of_memory_keeps_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_corner_corpus(tmp_path)
    step = stages.train_step

    def greedy(*arguments: object) -> object:
        if torch.is_grad_enabled() and (tmp_path / "run" / "last").exists():
            torch.empty(2**60)
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "train_step", greedy)
    with pytest.raises(ResourceError, match="stage 'all': out of memory with batch_size = 4; batch_size = 2 with acc"):
        train(tiny_recipe(tmp_path), tmp_path / "run", resume=False, on_step=lambda _: None)
    monkeypatch.undo()
    train(tiny_recipe(tmp_path), tmp_path / "run", resume=True, on_step=lambda _: None)


def test_single_steps_without_a_finite_loss_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them in a row, which the log shows; the weights do not move, and the run goes on."""
    losses = iter([1.0, float("nan"), float("inf"), 1.0, 1.0, 1.0, 1.0, 1.0])
    shares = stages.share

    def spoiled(*arguments: object) -> torch.Tensor:
        return shares(*arguments) * next(losses)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "share", spoiled)
    moved = []
    recipe = small_recipe(write_corpora(tmp_path, studies=4), stage={"steps": 4, "accumulate": 1})
    train(recipe, tmp_path / "run", resume=False, on_step=lambda now: moved.append(now.loss))
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [("true" in line.split("left_out")[1]) for line in lines if '"step", "stage": "image_encoder"' in line] == [
        False,
        True,
        True,
        False,
    ]
    assert len(moved) == 8
