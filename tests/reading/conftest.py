"""The draft of the tests of the output formats, without the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.outputs.conftest import report

__all__ = ["report"]


@pytest.fixture(autouse=True, scope="module")
def _without_page() -> Iterator[None]:
    """Leave the page out of FHIR bundles: it takes a second, and is not read back.

    A fixture of the package would still be active while a process runs files of other folders (pytest-xdist).
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("report_gen.outputs.page.format_pdf", lambda _: b"%PDF-1.7")
        yield
