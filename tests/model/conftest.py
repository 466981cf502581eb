"""Checkpoints that a test may damage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from report_gen.model import load_checkpoint
from tests.builders import LLAMA, THRESHOLDS, tiny_config, tiny_model, write_checkpoint


@pytest.fixture(scope="package")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a GPT-2, one with a Llama and one with a recognizer."""
    root = tmp_path_factory.mktemp("checkpoints")
    recognized = {"classes": ["upright", "foreign"], "grid": 2, "components": 2, "max_distance": 1e6}
    for name, changes in (
        ("gpt2", {}),
        ("llama", {"decoder": {"transformer": LLAMA}}),
        ("recognizer", {"scope": {"recognizer": recognized}}),
    ):
        write_checkpoint(root / name, model=tiny_model(tiny_config(findings={"present": THRESHOLDS}, **changes)))
        load_checkpoint(root / name)  # imports what is loaded at the first use
    return root


@pytest.fixture
def copied(sources: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a checkpoint, so that a test may damage it."""
    return lambda name: Path(shutil.copytree(sources / name, tmp_path / "tiny"))
