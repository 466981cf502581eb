"""A state on disk that is malformed, incomplete or not finite is refused by file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.run import TrainProgress, TrainState, ValidationScore, pack_optimizer, unpack_optimizer
from report_gen_training.run.train_state import load_state, save_state
from safetensors.torch import load_file, save_file

from report_gen.errors import UsageError


@pytest.fixture
def last(tmp_path: Path) -> Path:
    weights = {"a": torch.ones(2), "b": torch.zeros(1)}
    progress = TrainProgress(step=3, validated=2, best=ValidationScore(0.5, -1.0), bf16=False)
    kept = TrainState(progress, weights, best=weights, optimizer={"0.step": torch.tensor(3.0)}, ema=weights, seed=7)
    save_state(tmp_path / "last", kept, log_bytes=9)
    found = load_state(tmp_path / "last")
    assert found is not None
    assert (found.progress, found.seed) == (progress, 7)
    return tmp_path / "last"


def change(**values: Any) -> Callable[[Path], object]:
    """Return a function that changes entries of `state.json`: of the progress, or `log_bytes`, `seed` and `tensors`."""

    def write(last: Path) -> None:
        record = json.loads((last / "state.json").read_text())
        for name, value in values.items():
            (record["progress"] if name in record["progress"] else record)[name] = value
        (last / "state.json").write_text(json.dumps(record))

    return write


def content(text: str | bytes) -> Callable[[Path], object]:
    data = text if isinstance(text, bytes) else text.encode()
    return lambda last: (last / "state.json").write_bytes(data)


def pipe(name: str) -> Callable[[Path], object]:
    def make(last: Path) -> None:
        (last / name).unlink()
        os.mkfifo(last / name)

    return make


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(step=-5), r"state\.json: damaged .*progress\.step: Input should be greater than or equal to 0"),
        (change(stage=-1), r"progress\.stage: Input should be greater"),
        (change(stale=-1), r"progress\.stale: Input should be greater"),
        (change(skipped=-1), r"progress\.skipped: Input should be greater"),
        (change(validated=-2), r"progress\.validated: Input should be greater"),
        (change(step=2.5), r"progress\.step: Input should be a valid integer"),
        (change(step=True), r"progress\.step: Input should be a valid integer"),
        (change(step="3"), r"progress\.step: Input should be a valid integer"),
        (change(step=None), r"progress\.step: Input should be a valid integer"),
        (change(bf16="no"), r"progress\.bf16: Input should be a valid boolean"),
        (change(best=[1.0]), r"progress\.best"),
        (change(best={"score": 1}), r"progress\.best"),
        (change(log_bytes=-1), r"log_bytes: Input should be greater"),
        (change(seed=-1), r"seed: Input should be greater"),
        (change(tensors=[]), r"tensors: Input should be a valid dictionary"),
        (change(more=1), r"more: Extra inputs are not permitted"),
        (content("{"), r"state\.json: damaged"),
        (content(""), r"state\.json: damaged"),
        (content("[]"), r"content: Input should be a valid dictionary"),
        (content("null"), r"state\.json: damaged"),
        (content("[" * 100_000), r"state\.json: damaged"),
        (content('{"progress":' * 100_000), r"state\.json: damaged"),
        (content('{"progress": {}, "progress": {}}'), r"state\.json: damaged"),
        (content(b"\xff\xfe\x00"), r"state\.json: damaged"),
        (content('{"progress": {"step": ' + "9" * 5000 + "}}"), r"state\.json: damaged"),
        (lambda last: (last / "state.json").unlink(), r"state\.json: damaged"),
        (pipe("state.json"), r"state\.json: damaged"),
        (pipe("model.safetensors"), r"model\.safetensors: damaged .*the file is missing"),
        (lambda last: (last / "model.safetensors").unlink(), r"model\.safetensors: damaged .*the file is missing"),
        (lambda last: (last / "best.safetensors").unlink(), r"best\.safetensors: damaged .*the file is missing"),
        (lambda last: (last / "optimizer.safetensors").unlink(), r"optimizer\.safetensors: damaged .*is missing"),
        (lambda last: (last / "ema.safetensors").unlink(), r"ema\.safetensors: damaged .*the file is missing"),
        (lambda last: os.truncate(last / "ema.safetensors", 20), r"ema\.safetensors: damaged"),
        (lambda last: os.truncate(last / "ema.safetensors", 0), r"ema\.safetensors: damaged"),
    ],
)
def test_a_damaged_state(last: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(last)
    with pytest.raises(UsageError, match=f"{message}.*; start a new run with another --output"):
        load_state(last)


@pytest.mark.parametrize("name", ["model", "best", "optimizer", "ema"])
@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_values_that_are_not_finite(last: Path, name: str, value: float) -> None:
    file = last / f"{name}.safetensors"
    tensors = load_file(file)
    key = next(iter(tensors))
    save_file(tensors | {key: torch.full_like(tensors[key], value)}, file)
    with pytest.raises(
        UsageError, match=rf"{name}\.safetensors: damaged .*the tensor {key} has values that are not fin"
    ):
        load_state(last)


def test_a_missing_tensor(last: Path) -> None:
    save_file({}, last / "optimizer.safetensors")
    with pytest.raises(UsageError, match=r"optimizer\.safetensors: damaged .*0 tensors instead of 1"):
        load_state(last)


def test_a_state_of_version_0_1_is_read(last: Path) -> None:
    record = json.loads((last / "state.json").read_text())
    (last / "state.json").write_text(json.dumps({name: record[name] for name in ("progress", "log_bytes")}))
    found = load_state(last)
    assert found is not None
    assert found.seed is None
    assert found.ema is not None


def optimizer() -> torch.optim.AdamW:
    """Return an optimizer after two steps."""
    parameter = torch.nn.Parameter(torch.ones(2))
    made = torch.optim.AdamW([parameter])
    for _ in range(2):
        parameter.grad = torch.ones(2)
        made.step()
    return made


@pytest.mark.parametrize(
    "changes",
    [
        {"0.step": torch.tensor(3.0)},
        {"0.step": torch.tensor(-5.0)},
        {"0.exp_avg": torch.ones(3)},
        {"0.exp_avg_sq": torch.tensor([1.0, -1.0])},
        {"0.exp_avg_sq": None},
        {"0.more": torch.ones(2)},
        {"1.step": torch.tensor(1.0)},
        {"-1.step": torch.tensor(1.0)},
        {"x.step": torch.tensor(1.0)},
    ],
)
def test_an_optimizer_state_of_other_steps_or_parameters(changes: dict[str, torch.Tensor | None]) -> None:
    packed = pack_optimizer(optimizer())
    unpack_optimizer(optimizer(), packed, steps=2)
    changed = {name: value for name, value in (packed | changes).items() if value is not None}
    with pytest.raises((ValueError, LookupError)):
        unpack_optimizer(optimizer(), changed, steps=2)
