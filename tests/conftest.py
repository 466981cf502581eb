"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def shared() -> Path:
    """Return the folder of real images and reports. The test is skipped if there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("REPORT_GEN_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip("no real data: set REPORT_GEN_SHARED")
    return folder
