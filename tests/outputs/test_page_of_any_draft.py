"""The page of generated drafts: its texts are those of the draft, and nothing of a draft is markup."""

from __future__ import annotations

import contextlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from hypothesis import given

from report_gen import read_study
from report_gen.outputs import DraftDocument
from report_gen.outputs.draft_terms import STATE_WORDS
from report_gen.outputs.page import format_html
from report_gen.records import BANNER, FindingState, Report, SectionName, Study, strip_controls
from tests.dicom_files import write_dicom
from tests.report_strategies import PDF_ROUND_TRIPS, REPORTS, ROUND_TRIPS

TAGS = frozenset(
    (
        *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2", "p", "strong"),
        *("dl", "div", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "span", "b", "br"),
        *("svg", "path", "circle", "figure", "figcaption", "img"),
    )
)
ATTRIBUTES = frozenset(
    (
        *("lang", "charset", "name", "content", "http-equiv", "class", "id", "role", "scope"),
        *("aria-labelledby", "aria-label", "aria-hidden", "src", "width", "height", "alt"),
        *("viewbox", "d", "fill", "stroke", "stroke-width", "cx", "cy", "r"),
    )
)
"""Everything that the template itself writes."""


class Page(HTMLParser):
    """The elements of a page, and the texts in some of them, as the parser of Python reads them."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[tuple[str, str]] = []
        """The class or else the name of an element, and its text."""
        self._open = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag in ("li", "td", "th", "dt", "dd", "h2"):
            self._open = tag
            self.texts.append((dict(attrs).get("class") or tag, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open:
            kind, text = self.texts[-1]
            self.texts[-1] = (kind, text + data)

    def of(self, *kinds: str) -> list[str]:
        return [" ".join(text.split()) for kind, text in self.texts if kind in kinds]


HEADINGS = {name.value.capitalize() for name in SectionName}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder: Path = tmp_path_factory.mktemp("study")
    return read_study(write_dicom(folder / "a.dcm", np.zeros((8, 8), np.uint16), PatientName="<b>^&amp;"))


@ROUND_TRIPS
@given(report=REPORTS)
def test_the_page_has_the_texts_of_any_draft_and_no_markup_of_it(study: Study, report: Report) -> None:
    page = Page(format_html(DraftDocument(report=report, study=study)))
    assert page.tags <= TAGS
    assert page.attributes <= ATTRIBUTES
    sentences = [sentence for section in report.sections for sentence in section.sentences]
    assert page.of("none", "low", "medium", "high") == [strip_controls(sentence.text) for sentence in sentences]
    headings = [section.name.value.capitalize() for section in report.sections]
    assert [heading for heading in page.of("h2") if heading in HEADINGS] == headings
    assert page.of("li") == [strip_controls(notice) for notice in report.notices]
    states = {
        strip_controls(f"{finding.name} (normal study)" if finding.means_normal else finding.name): STATE_WORDS[
            finding.state
        ]
        for finding in report.findings
        if not (finding.means_normal and finding.state is FindingState.UNKNOWN)
    }
    found = [text.removesuffix(" set by the user") for text in page.of("state")]
    assert dict(zip(page.of("th")[2:], found, strict=True)) == states
    facts = dict(zip(page.of("dt"), page.of("dd"), strict=True))
    assert facts["Model"] == strip_controls(report.provenance.model_name)
    assert facts["Weights, SHA-256"] == (
        report.provenance.weights_sha256 or "unknown: this computer does not have them"
    )
    assert facts.get("Revision", "") == report.provenance.model_revision
    assert facts.get("Images sent to", "") == report.provenance.endpoint


@pytest.mark.usefixtures("pango")
@PDF_ROUND_TRIPS
@given(report=REPORTS)
def test_each_sheet_of_any_draft_has_banner_and_patient(study: Study, report: Report) -> None:
    """PDFium reads the sheets: pypdf takes the glyphs of some of them, of two bytes each, for single bytes."""
    with contextlib.closing(pypdfium2.PdfDocument(DraftDocument(report=report, study=study).pdf)) as pdf:
        texts = [" ".join(sheet.get_textpage().get_text_bounded().split()) for sheet in pdf]
    assert texts
    assert [text for text in texts if BANNER not in text or "<b>, &amp; - ID P1" not in text] == []
