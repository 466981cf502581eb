"""The page of a draft as Chromium shows and prints it: on a wide and a narrow screen, in dark mode and on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pypdf
import pytest
from PIL import Image as PillowImage

from report_gen import read_study
from report_gen.outputs import DraftDocument
from report_gen.outputs.page import format_html
from report_gen.records import BANNER, Finding, FindingState, Report, Section, SectionName, Sentence
from tests.dicom_files import write_dicom

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

MEASURE = """<iframe src="page.html" style="width: 400px; height: 400px; border: 0"></iframe>
<pre id="found"></pre><script>
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument, lines = {};
  for (const cell of page.querySelectorAll(".findings .state, .findings th")) {
    const range = page.createRange();
    range.selectNodeContents(cell.firstChild);
    lines[cell.textContent] = range.getClientRects().length;
  }
  document.getElementById("found").textContent = JSON.stringify({width: page.documentElement.scrollWidth, lines});
});
</script>"""
"""Measures the page in a window of 400 pixels: its width, and the lines of each cell of a finding and its state."""


@pytest.fixture
def folder(report: Report, tmp_path: Path) -> Path:
    """A folder with the page of a long draft, `page.html`."""
    sentences = tuple(Sentence(f"Sentence {number} of the report.", number / 100) for number in range(100))
    findings = tuple(Finding(name="Enlarged Cardiomediastinum", state=state, probability=0.5) for state in FindingState)
    study = read_study(write_dicom(tmp_path / "a.dcm", PatientName="Doe^Jane"))
    long = Report(
        sections=(Section(SectionName.FINDINGS, sentences),),
        findings=(*findings, *report.findings),
        notices=report.notices,
        provenance=report.provenance,
    )
    (tmp_path / "page.html").write_bytes(format_html(DraftDocument(report=long, study=study)))
    return tmp_path


def chromium(folder: Path, *options: str, page: str = "page.html") -> str:
    """Open a page and return the standard output."""
    switches = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={folder}/user",
    )
    command = [str(CHROMIUM), *switches, *options, (folder / page).as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def corner(folder: Path, *options: str) -> Any:
    """Return the color of the lower left corner of a screenshot."""
    chromium(folder, "--window-size=1200,800", f"--screenshot={folder}/page.png", *options)
    with PillowImage.open(folder / "page.png") as image:
        return image.convert("RGB").getpixel((2, image.height - 3))


def test_each_printed_sheet_has_one_banner_and_the_patient(folder: Path) -> None:
    chromium(folder, f"--print-to-pdf={folder}/page.pdf", "--no-pdf-header-footer")
    sheets = [" ".join(sheet.extract_text().split()) for sheet in pypdf.PdfReader(folder / "page.pdf").pages]
    assert len(sheets) >= 3
    assert [sheet.count(BANNER) for sheet in sheets] == [1] * len(sheets)
    assert all("Doe, Jane" in sheet for sheet in sheets)
    assert all(f"Page {number} of {len(sheets)}" in sheet for number, sheet in enumerate(sheets, start=1))


def test_words_of_the_findings_are_not_broken_on_a_narrow_screen(folder: Path) -> None:
    (folder / "measure.html").write_text(MEASURE)
    dom = chromium(folder, "--allow-file-access-from-files", "--dump-dom", page="measure.html")
    found = json.loads(unescape(re.findall(r'<pre id="found">(.*?)</pre>', dom)[0]))
    assert found["width"] <= 400
    assert found["lines"].pop("Location") == 0  # a location stands below its finding
    assert found["lines"].pop("Threshold") == 0  # and so does its threshold
    assert found["lines"].pop("Enlarged Cardiomediastinum") == 2
    assert len(found["lines"]) >= 10
    assert set(found["lines"].values()) == {1}


def test_the_page_is_dark_where_the_reader_asks_for_it_but_not_on_paper(folder: Path) -> None:
    assert corner(folder) == (255, 255, 255)
    assert max(corner(folder, "--blink-settings=preferredColorScheme=0")) < 64
    pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed")
    chromium(folder, f"--print-to-pdf={folder}/page.pdf", "--blink-settings=preferredColorScheme=0")
    assert pdfium.PdfDocument(folder / "page.pdf")[0].render().to_pil().getpixel((2, 2)) == (255, 255, 255)
