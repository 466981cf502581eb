"""Settings that were measured: remembered for a checkpoint on one machine, and used where the user chooses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from report_gen.cli.model_options import load_drafter
from report_gen.drafting import Drafter
from report_gen.model import manifest_digest, tuning
from report_gen.model.tuning import Tuning, find_tuning, remember_tuning, tuning_file
from tests.builders import write_checkpoint

INT8 = Tuning(dtype="int8", threads=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "user_cache_path", lambda *_, **__: tmp_path / "cache")


def test_settings_are_remembered_per_checkpoint_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_tuning("a") is None
    assert remember_tuning("a", INT8) == tuning_file()
    remember_tuning("b", Tuning(dtype="bfloat16", threads=2))
    assert find_tuning("a") == INT8
    assert find_tuning("b") == Tuning(dtype="bfloat16", threads=2)
    remember_tuning("a", Tuning(dtype="float32", threads=2))
    assert find_tuning("a") == Tuning(dtype="float32", threads=2)
    monkeypatch.setattr(tuning, "describe_processor", lambda: "another processor")
    assert find_tuning("a") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"a": {"x": {"dtype": "int8", "threads": 0}}}',
        "[]",
        '{"a": 1}',
        '{"a": {"x": {"dtype": "int3", "threads": 1}}}',
        "\x00",
    ],
)
def test_a_damaged_file_is_no_setting(content: str) -> None:
    tuning_file().parent.mkdir(parents=True)
    tuning_file().write_text(content, encoding="utf-8")
    assert find_tuning("a") is None
    remember_tuning("a", INT8)
    assert find_tuning("a") == INT8


def test_a_pipe_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning_file().parent.mkdir(parents=True)
    os.mkfifo(tuning_file())
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("a pipe was opened, which waits forever"))
    assert find_tuning("a") is None


def dtype_of(folder: Path, dtype: str) -> str:
    drafter: Drafter = load_drafter(folder, device="cpu", dtype=dtype)  # type: ignore[arg-type]
    return drafter.info.dtype


def test_drafts_use_the_settings_unless_the_user_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_checkpoint(tmp_path / "tiny")
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert dtype_of(folder, "auto") == "float32"
    remember_tuning(manifest_digest(folder), INT8)
    assert dtype_of(folder, "auto") == "int8"
    assert threads == [1]
    assert dtype_of(folder, "float32") == "float32"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert dtype_of(folder, "auto") == "int8"
    assert threads == [1]
    other = write_checkpoint(tmp_path / "other", card="# another")
    assert dtype_of(other, "auto") == "int8"  # the model card is not a part of the digest
    changed = write_checkpoint(tmp_path / "changed", training={"steps": 1})
    assert dtype_of(changed, "auto") == "float32"
