"""OHIF, a viewer that this project did not write, shows the DICOM objects of drafts from an archive, Orthanc."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydicom import Dataset, dcmread

from report_gen.imaging import load_pixels
from report_gen.outputs import DraftDocument, get_format
from report_gen.records import BANNER, Report, strip_controls
from tests.ohif import running_ohif
from tests.orthanc import Orthanc
from tests.outputs.drafts import MARKUP, phantom_draft, shown_sentences

pytest.importorskip("jinja2", reason="the extra clinical is not installed")
pytest.importorskip("highdicom", reason="the extra clinical is not installed")
pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from playwright.sync_api import Browser, Locator, Page, expect

from report_gen.outputs.key_image import key_image

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
TIMEOUT = 60_000
"""Milliseconds after which something that should be shown is missing. A busy machine shows it in ten seconds."""

EARLIER, LATER = "Text of the earlier version.", "Text of the later version."
SECOND = "Text of the second study."

VISIBLE_PART = """(label) => {
    const ellipsis = 16, [text, button] = [label.firstChild, label.closest('button')];
    const right = Math.min(label.getBoundingClientRect().right, button.getBoundingClientRect().right);
    const range = document.createRange();
    let count = 0;
    while (count < text.length) {
        range.setStart(text, count);
        range.setEnd(text, count + 1);
        if (range.getBoundingClientRect().right > right - ellipsis) break;
        count += 1;
    }
    return text.data.slice(0, count);
}"""
"""Returns the beginning of a label that OHIF shows before `...`."""

LOADED_DOCUMENT = """async () => {
    const answer = await fetch(document.querySelector('object').data);
    return Array.from(new Uint8Array(await answer.arrayBuffer()));
}"""
"""Returns the bytes of the document that OHIF gives to the PDF viewer of Chromium."""


@dataclass(frozen=True)
class StoredDraft:
    """A draft whose DICOM objects are in the archive."""

    document: DraftDocument
    objects: dict[str, Dataset]
    """DICOM object by format."""

    @property
    def study_uid(self) -> str:
        return str(self.document.source.attributes.StudyInstanceUID)


@dataclass(frozen=True)
class Viewer:
    """OHIF in a window of Chromium."""

    page: Page
    url: str
    dialogs: list[str] = field(default_factory=list)
    """Messages of scripts, which a text of a draft must not start."""

    @property
    def viewport(self) -> Locator:
        """The part of the window that shows a series."""
        return self.page.locator('[data-cy="viewport-pane"]')

    def open_study(self, stored: StoredDraft) -> None:
        """Open a study unless it is open, and wait until all series of the draft are listed."""
        url = f"{self.url}/viewer?StudyInstanceUIDs={stored.study_uid}"
        if self.page.url != url:
            self.page.goto(url)
        for dataset in stored.objects.values():
            self.series(dataset).wait_for()

    def series(self, dataset: Dataset) -> Locator:
        """The entry of a series in the list."""
        entries = self.page.locator(f'[data-series="{dataset.SeriesNumber}"]')
        return entries.filter(has_text=dataset.SeriesDescription)

    def show(self, dataset: Dataset) -> None:
        """Show a series in the viewport."""
        self.series(dataset).dblclick()

    def sections(self) -> list[str]:
        """Return the headings and paragraphs of the report in the viewport."""
        self.viewport.get_by_text(BANNER, exact=True).wait_for()
        return self.viewport.inner_text().replace("\xa0", " ").splitlines()

    def wait_for_picture(self, is_shown: Callable[[NDArray[np.uint8]], bool]) -> None:
        """Wait until the viewport, RGB [H,W,3], shows what a function looks for."""
        deadline = time.monotonic() + TIMEOUT / 1000
        while not is_shown(np.asarray(PillowImage.open(io.BytesIO(self.viewport.screenshot())).convert("RGB"))):
            assert time.monotonic() < deadline, "the viewport does not show the image"
            self.page.wait_for_timeout(200)


@pytest.fixture(scope="module")
def drafts(orthanc: Orthanc, report: Report, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StoredDraft]:
    """Store the drafts of three studies of one patient. The text report of the third one has two versions."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("first", "second", "revised")}
    sentences = (MARKUP, *(sentence.text for sentence in report.sections[0].sentences))
    first = _write(phantom_draft(folders["first"], report, findings=sentences), FORMATS)
    second = _write(phantom_draft(folders["second"], report, seed=1, findings=(SECOND,)), FORMATS)
    _write(phantom_draft(folders["revised"], report, seed=2, findings=(EARLIER,)), ("dicom-sr",))
    (path,) = folders["revised"].glob("draft*")
    revises = path.rename(path.with_name("earlier.dcm"))
    later = phantom_draft(folders["revised"], report, seed=2, findings=(LATER,), revises=revises)
    drafts = {"first": first, "second": second, "revised": _write(later, ("dicom-sr",))}
    for path in sorted(path for folder in folders.values() for path in folder.glob("*.dcm")):
        orthanc.stow(path)
    return drafts


def _write(document: DraftDocument, formats: Sequence[str]) -> StoredDraft:
    """Write a draft beside its radiograph."""
    folder = document.study.images[0].path.parent
    paths = {name: folder / f"draft{get_format(name).suffix}" for name in formats}
    for name, path in paths.items():
        path.write_bytes(get_format(name).render(document))
    return StoredDraft(document, {name: dcmread(path) for name, path in paths.items()})


@pytest.fixture(scope="module")
def url(orthanc: Orthanc) -> Iterator[str]:
    """Serve OHIF beside the archive and return its URL."""
    with running_ohif(orthanc.url) as url:
        yield url


@pytest.fixture(scope="module")
def window(url: str, chromium: Browser) -> Iterator[Viewer]:
    """Open a window for OHIF. All tests use it, because OHIF takes seconds to start."""
    context = chromium.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(TIMEOUT)
    viewer = Viewer(context.new_page(), url)
    viewer.page.on("dialog", lambda dialog: (viewer.dialogs.append(dialog.message), dialog.dismiss()))
    try:
        yield viewer
    finally:
        context.close()


@pytest.fixture
def viewer(window: Viewer, tmp_path: Path) -> Iterator[Viewer]:
    """Return OHIF. What it shows at the end is saved as `viewer.png` in the folder of the test."""
    yield window
    window.page.screenshot(path=tmp_path / "viewer.png")


def test_all_studies_of_the_patient_are_listed(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    viewer.page.goto(viewer.url)
    for text in ("PHANTOM, REPORT-GEN", "PHANTOM chest radiograph"):
        expect(viewer.page.get_by_text(text, exact=True)).to_have_count(len(drafts), timeout=TIMEOUT)


def test_the_series_of_a_draft_are_listed_with_their_kind(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    viewer.open_study(drafts["first"])
    assert viewer.page.locator("[data-series]").count() == 1 + len(FORMATS)  # the radiograph and its draft
    for dataset in drafts["first"].objects.values():
        entry = viewer.series(dataset)
        assert entry.inner_text().splitlines()[:2] == [dataset.Modality, dataset.SeriesDescription]
        visible = entry.locator('[data-cy="series-description-label"]').evaluate(VISIBLE_PART)
        assert len(visible) < len(dataset.SeriesDescription)  # else the judge sees no `...`
        assert visible.startswith(dataset.SeriesDescription.partition(",")[0])


def test_banner_headings_and_sentences_of_the_report_are_shown(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    stored = drafts["first"]
    viewer.open_study(stored)
    viewer.show(stored.objects["dicom-sr"])
    lines = viewer.sections()
    report = stored.document.report
    notices = map(strip_controls, report.notices)
    for text in (BANNER, *notices, *shown_sentences(report)):
        assert viewer.viewport.get_by_text(text, exact=True).is_visible(), text
    assert lines[1].startswith(BANNER)
    assert lines[::2] == [
        "1. Diagnostic imaging report",
        "1.1. Comment",
        "1.2. Findings",
        "1.3. Impressions",
        "1.4. Summary of Detections",
    ]
    assert viewer.dialogs == []


def test_the_report_is_shown_after_the_coded_findings(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    """OHIF shows no report of TID 1500 without coordinates (OHIF/Viewers#3390), but it still shows others."""
    objects = drafts["first"].objects
    viewer.open_study(drafts["first"])
    viewer.show(objects["dicom-sr-findings"])
    viewer.page.get_by_text("Something went wrong").first.wait_for()
    viewer.show(objects["dicom-sr"])
    assert "1.2. Findings" in viewer.sections()


def test_a_revised_report_is_shown(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    viewer.open_study(drafts["revised"])
    viewer.show(drafts["revised"].objects["dicom-sr"])
    assert LATER in viewer.sections()


def test_radiograph_and_key_image_are_shown(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    stored = drafts["first"]
    radiograph = np.rint(load_pixels(stored.document.study.images[0]) * 255).astype(np.uint8)
    drawn = np.stack([radiograph] * 3, axis=-1)
    viewer.open_study(stored)
    viewer.page.locator('[data-series="1"]').dblclick()
    viewer.wait_for_picture(lambda shown: _correlation(shown, drawn) > 0.95)
    viewer.show(stored.objects["dicom-sc"])
    viewer.wait_for_picture(lambda shown: _correlation(shown, key_image(stored.document)) > 0.95)


def _correlation(shown: NDArray[np.uint8], image: NDArray[np.uint8]) -> float:
    """Return the correlation of what is shown, RGB [H,W,3], with an image that is fitted into it; 0 if it is blank."""
    scale = min(shown.shape[0] / image.shape[0], shown.shape[1] / image.shape[1])
    fitted = PillowImage.fromarray(image).resize((round(image.shape[1] * scale), round(image.shape[0] * scale)))
    expected = PillowImage.new("RGB", (shown.shape[1], shown.shape[0]))
    expected.paste(fitted, ((expected.width - fitted.width) // 2, (expected.height - fitted.height) // 2))
    return float(np.corrcoef(shown.ravel(), np.asarray(expected).ravel())[0, 1]) if np.ptp(shown) else 0.0


def test_the_pdf_file_is_shown(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    dataset = drafts["first"].objects["dicom-pdf"]
    viewer.open_study(drafts["first"])
    viewer.show(dataset)
    viewer.wait_for_picture(lambda shown: (shown > 250).all(axis=-1).mean() > 0.2)  # paper; OHIF is black
    loaded = viewer.page.evaluate(LOADED_DOCUMENT)
    assert bytes(loaded) == dataset.EncapsulatedDocument


def test_the_report_of_another_study_of_the_patient_is_shown(viewer: Viewer, drafts: dict[str, StoredDraft]) -> None:
    viewer.open_study(drafts["second"])
    viewer.show(drafts["second"].objects["dicom-sr"])
    assert SECOND in viewer.sections()
    studies = viewer.page.locator("button", has_text="PHANTOM chest radiograph")
    expect(studies).to_have_count(len(drafts), timeout=TIMEOUT)
    second = viewer.page.locator("button[data-state=open]", has_text="PHANTOM chest radiograph").element_handle()
    # Only the drafts of the first and the second study have a PDF file.
    studies.and_(viewer.page.locator("[data-state=closed]")).filter(has_text="DOC").click()
    second.click()
    expect(viewer.page.locator("[data-series]")).to_have_count(1 + len(FORMATS), timeout=TIMEOUT)
    viewer.show(drafts["first"].objects["dicom-sr"])
    viewer.viewport.get_by_text(MARKUP, exact=True).wait_for()
    assert SECOND not in viewer.sections()
