"""The page of a draft in Chromium: what is visible on screens and in print, and that nothing is loaded or run."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from report_gen.outputs import get_format
from report_gen.records import BANNER, Report
from tests.outputs.drafts import MARKUP, phantom_draft, shown_sentences

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("jinja2", reason="the extra clinical is not installed")

LONG_WORD = "Pneumono" * 20
"""A word that is wider than the screen of a telephone."""
FINDINGS = (MARKUP, LONG_WORD, *(f"Sentence {number} of the report." for number in range(80)))
"""Sentences of several sheets."""


@dataclass
class Tab:
    """A page that is open in Chromium, and what it did."""

    page: Page
    requests: list[str] = field(default_factory=list)
    """URLs that the page requested. Images within the file (`data:`) are not requests."""
    events: list[str] = field(default_factory=list)
    """Dialogs, messages in the console and exceptions of scripts."""


@pytest.fixture(scope="module")
def long_report(report: Report, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """Return the page of a draft with `FINDINGS`, and the draft."""
    folder = tmp_path_factory.mktemp("page")
    draft = phantom_draft(folder, report, findings=FINDINGS)
    path = folder / "draft.html"
    path.write_bytes(get_format("html").render(draft))
    return path, draft.report


@pytest.fixture(params=[1200, 400])
def tab(chromium: Browser, long_report: tuple[Path, Report], request: pytest.FixtureRequest) -> Iterator[Tab]:
    """Open the page in a window of 1200 and of 400 pixels."""
    context = chromium.new_context(viewport={"width": request.param, "height": 800}, offline=True)
    try:
        tab = Tab(context.new_page())
        tab.page.on("request", lambda sent: tab.requests.append(sent.url))
        tab.page.on("console", lambda message: tab.events.append(message.text))
        tab.page.on("pageerror", lambda error: tab.events.append(str(error)))
        tab.page.on("dialog", lambda dialog: (tab.events.append(dialog.message), dialog.dismiss()))
        tab.page.goto(long_report[0].as_uri())
        yield tab
    finally:
        context.close()


def test_nothing_is_loaded_and_nothing_runs(tab: Tab, long_report: tuple[Path, Report]) -> None:
    tab.page.wait_for_load_state("networkidle")
    assert tab.requests == [long_report[0].as_uri()]
    assert tab.events == []
    assert tab.page.locator("img").count() == 2
    loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 100)"
    assert tab.page.evaluate(loaded), "the images within the file are shown"


def test_banner_and_sentences_are_visible_without_scrolling_sideways(
    tab: Tab, long_report: tuple[Path, Report], tmp_path: Path
) -> None:
    page = tab.page
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    width = page.viewport_size["width"]
    banner = page.get_by_text(BANNER, exact=True).first.bounding_box()
    assert banner is not None
    assert banner["y"] + banner["height"] < 200, "the banner is at the top"
    for text in (BANNER, *shown_sentences(long_report[1])):
        sentence = page.get_by_text(text, exact=True).first
        assert sentence.is_visible(), text
        box = sentence.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width, text
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_a_print_has_the_banner_on_each_sheet_and_all_sentences(
    chromium: Browser, long_report: tuple[Path, Report], paper: str, tmp_path: Path
) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    path, report = long_report
    page = chromium.new_page()
    try:
        page.goto(path.as_uri())
        pdf = page.pdf(path=tmp_path / "print.pdf", format=paper)
    finally:
        page.close()
    sheets = [_characters(sheet.extract_text()) for sheet in pypdf.PdfReader(io.BytesIO(pdf)).pages]
    assert len(sheets) >= 3
    assert all(_characters(BANNER) in sheet for sheet in sheets)
    printed = "".join(sheets)
    assert [text for text in shown_sentences(report) if _characters(text) not in printed] == []


def _characters(text: str) -> str:
    """Return a text without spaces and ligatures: a PDF file has neither line breaks nor "fi" as two characters."""
    return "".join(unicodedata.normalize("NFKC", text).split())
