"""Fixtures of the tests of fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network import blocked_network
from tests.training.adapter_tuning.tuning_runs import FAMILIES, describe, write_corpus


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set HF_HUB_OFFLINE, and check that nothing tries to reach a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with blocked_network() as attempts:
        yield
    assert attempts == []


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a described model of each family."""
    folder = tmp_path_factory.mktemp("families")
    return {name: describe(write(folder / name)) for name, write in FAMILIES.items()}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))
