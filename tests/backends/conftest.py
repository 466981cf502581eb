"""Fixtures of the tests of backends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.tiny_models import write_llava, write_vit_gpt2
from tests.network import blocked_network


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set HF_HUB_OFFLINE, and check that nothing tries to reach a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with blocked_network() as attempts:
        yield
    assert attempts == []


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llava(tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture(scope="session")
def vit_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vit_gpt2(tmp_path_factory.mktemp("models") / "vit_gpt2")
