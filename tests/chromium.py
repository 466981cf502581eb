"""Chromium for tests: the browser of the operating system, driven by Playwright, without a network."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # it needs user namespaces, which containers do not have
    "--use-gl=angle",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no name but this computer is resolved
)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run Chromium without a window. Skip the test if Chromium or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing: pip install playwright")
    program = next(filter(None, map(_find_program, _PROGRAMS)), None)
    if program is None:
        pytest.skip("a browser is missing: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def _find_program(name: str) -> str | None:
    """Return the path of a browser that starts. Ubuntu's package chromium contains only a stub."""
    path = shutil.which(name)
    if path is None or subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode:
        return None
    return path
