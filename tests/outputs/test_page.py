"""The page of a draft: what it escapes, loads, shows and prints, judged by an HTML parser and by readers of PDF."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import threading
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from report_gen.errors import UsageError
from report_gen.imaging import read_study
from report_gen.imaging.volumes import choose_views
from report_gen.outputs import DocumentOptions, DraftDocument
from report_gen.records import (
    BANNER,
    Box,
    ChangeState,
    Finding,
    FindingState,
    Heatmap,
    InputFile,
    PriorComparison,
    Report,
    Section,
    SectionName,
    Sentence,
    Study,
)
from tests.dicom_files import write_dicom
from tests.slice_files import write_slices

pytest.importorskip("jinja2", reason="the extra clinical is not installed")

from report_gen.outputs.key_image import key_image
from report_gen.outputs.page import format_html, format_pdf
from report_gen.rendering.fonts import east_asian_fonts

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'single' {{7*191}} {% raw %} <img src=http://x.example/a.png>"


class Page(HTMLParser):
    """Elements and visible text of a page, read by the parser of the standard library."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " "  # a new cell or line

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def write_picture(path: Path) -> Path:
    """Write a gray ramp of 32 rows and 64 columns."""
    PillowImage.fromarray(np.arange(32 * 64, dtype=np.uint16).reshape(32, 64).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Study:
    return read_study(write_picture(tmp_path / "chest.png"))


def attention(study: Study) -> Heatmap:
    """Attention of "Pneumonia" in one patch of a 4 by 4 grid."""
    image = study.images[0]
    weights = np.full((4, 4), 0.01, dtype=np.float32)
    weights[2, 3] = 0.85
    pixels = np.full((image.rows, image.columns), 0.5, dtype=np.float32)
    part = Box(0, 0, image.rows, image.columns)
    return Heatmap(image=pixels, square=(0.0, -16.0, 64.0), part=part, weights={"Pneumonia": weights})


def images(page: Page) -> list[PillowImage.Image]:
    prefix = "data:image/jpeg;base64,"
    sources = [str(one["src"]) for one in page.all("img")]
    assert all(source.startswith(prefix) for source in sources)
    return [PillowImage.open(io.BytesIO(base64.b64decode(source.removeprefix(prefix)))) for source in sources]


def pdf_pages(pdf: bytes) -> list[str]:
    """Text of each page, with single spaces."""
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(pdf)).pages]


def test_nothing_of_a_draft_is_markup_or_a_template(report: Report, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "{{7*191}} <b>&'.png")
    hostile = replace(
        report,
        sections=(Section(SectionName.FINDINGS, (Sentence(HOSTILE, 0.4),)),),
        findings=(Finding(name=HOSTILE, state=FindingState.PRESENT),),
        notices=(HOSTILE,),
        provenance=replace(report.provenance, model_name=HOSTILE, decoding=MappingProxyType({HOSTILE: HOSTILE})),
    )
    study = read_study(path)
    draft = DraftDocument(report=hostile, study=study, attention=attention(study))
    page = Page(format_html(draft))
    names = {tag for tag, _ in page.elements}
    assert not names & {"script", "b", "link", "iframe", "object", "form", "a"}
    assert page.text.count(HOSTILE) >= 4  # a sentence, a notice, a finding, the model
    assert "{{7*191}} <b>&'" in page.text
    assert "1337" not in re.sub(r"[0-9a-f]{64}", "", page.text)
    assert [one["src"] for one in page.all("img") if "data:" not in str(one["src"])] == []


def test_the_patient_in_the_margin_of_each_sheet_is_escaped_for_the_style(report: Report, tmp_path: Path) -> None:
    name = 'O"}</style><script>*^\u592a'
    write_dicom(tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID="42")
    html = format_html(DraftDocument(report=report, study=read_study(tmp_path / "a.dcm"))).decode()
    assert html.count("<style>") == html.count("</style>") == 1
    assert not any(tag == "script" for tag, _ in Page(html.encode()).elements)
    (escaped,) = re.findall(r'@bottom-left \{ content: "([^"]*)"', html)
    shown = re.sub(r"\\([0-9a-f]+) ", lambda found: chr(int(found[1], 16)), escaped)
    assert shown == 'O"}</style><script>*, \u592a - ID 42'


def test_controls_of_texts_are_removed(report: Report, picture: Study) -> None:
    text = Page(format_html(DraftDocument(report=report, study=picture))).text
    assert "Clear [31mlungs." in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_page_loads_nothing_and_its_policy_allows_its_own_style_only(report: Report, picture: Study) -> None:
    html = format_html(DraftDocument(report=report, study=picture, attention=attention(picture))).decode()
    page = Page(html.encode())
    policy = next(str(one["content"]) for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    style = html[html.index("<style>") + len("<style>") : html.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"url\(|@import|https?://", html)
    assert not any("style" in attributes or "href" in attributes for _, attributes in page.elements)


def test_the_page_is_accessible(report: Report, picture: Study) -> None:
    page = Page(format_html(DraftDocument(report=report, study=picture, attention=attention(picture))))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert all(one["alt"] for one in page.all("img"))
    assert "1 Pneumonia 0.50, set by the user" in " ".join(page.text.split())
    assert "Pneumonia" in str(page.all("img")[1]["alt"])
    ids = {one["id"] for _, one in page.elements if "id" in one}
    assert {one["aria-labelledby"] for _, one in page.elements if "aria-labelledby" in one} <= ids


def test_word_confidence_cannot_be_taken_for_truth(report: Report, picture: Study) -> None:
    text = " ".join(Page(format_html(DraftDocument(report=report, study=picture))).text.split())
    assert "Word confidence: how sure the decoder was of its choice of words" in text
    assert "It does not measure whether a finding is true" in text
    assert "check first" not in text.lower()  # readers took it for a sentence that is false, and the others for true


def test_images_keep_their_aspect_ratio(report: Report, picture: Study) -> None:
    draft = DraftDocument(report=report, study=picture, attention=attention(picture))
    page = Page(format_html(draft))
    assert [image.size for image in images(page)] == [(640, 320), (640, 320)]
    assert [(one["width"], one["height"]) for one in page.all("img")] == [("640", "320")] * 2


def test_the_outline_is_drawn_around_the_patch_with_attention(report: Report, picture: Study) -> None:
    page = Page(format_html(DraftDocument(report=report, study=picture, attention=attention(picture))))
    rgb = np.asarray(images(page)[1].convert("RGB")).astype(int)
    rows, columns = np.nonzero(np.ptp(rgb, axis=-1) > 60)  # the image itself is gray
    # Patch [2,3] of 16 pixels covers rows 16 to 32 and columns 48 to 64 of the image, which is enlarged ten times.
    assert 400 < columns.min() < 560 < columns.max()
    assert 80 < rows.min() < 240 < rows.max()


def test_findings_are_sorted_and_described(report: Report, picture: Study) -> None:
    text = " ".join(Page(format_html(DraftDocument(report=report, study=picture))).text.split())
    assert "Pneumonia present set by the user 0.50 0.40 (0.30) left; mid, lower zones set by the user" in text
    assert text.index("Pneumonia present") < text.index("Edema absent 0.12") < text.index("Fracture unknown")


def test_the_finding_of_a_normal_study_is_explained_and_left_out_where_it_is_unknown(
    report: Report, picture: Study
) -> None:
    normal = Finding(
        name="No Finding", state=FindingState.ABSENT, probability=0.53, present_threshold=0.615, means_normal=True
    )
    texts = [
        " ".join(Page(format_html(DraftDocument(report=replace(report, findings=found), study=picture))).text.split())
        for one in (normal, replace(normal, state=FindingState.UNKNOWN))
        for found in [(one, *report.findings)]
    ]
    assert "No Finding (normal study) absent 0.53 0.61" in texts[0]
    assert "0.53" not in texts[1]
    assert all("If No Finding reaches its threshold, the study counts as normal" in text for text in texts)
    assert "reaches its threshold" not in Page(format_html(DraftDocument(report=report, study=picture))).text


def test_a_draft_without_findings_and_sentences_says_so(report: Report, picture: Study) -> None:
    empty = replace(report, sections=(), findings=(), notices=())
    text = Page(format_html(DraftDocument(report=empty, study=picture, attention=attention(picture)))).text
    assert "The draft has no text." in text
    assert "The model states no findings." in text
    assert "No finding is present in the draft." in text
    assert "Notices" not in text


@pytest.mark.parametrize(
    ("states", "caption"),
    [
        ("absent uncertain uncertain", "No finding is present in the draft, but 2 are uncertain: Fibrosis, Edema."),
        ("absent uncertain absent", "No finding is present in the draft, but 1 is uncertain: Fibrosis."),
        ("absent not-mentioned absent", "No finding is present in the draft."),
        ("not-mentioned not-mentioned not-mentioned", "No finding could be determined."),
        ("not-mentioned present not-mentioned", "Present, no outline: Fibrosis."),
    ],
)
def test_the_caption_says_what_holds_and_explains_no_outline_where_there_is_none(
    report: Report, picture: Study, states: str, caption: str
) -> None:
    names = ("No Finding", "Fibrosis", "Edema")
    findings = tuple(
        Finding(name=name, state=FindingState(state), means_normal=name == "No Finding")
        for name, state in zip(names, states.split(), strict=True)
    )
    draft = DraftDocument(report=replace(report, findings=findings), study=picture, attention=attention(picture))
    page = Page(format_html(draft))
    assert caption in " ".join(page.text.split())
    assert "An outline surrounds" not in page.text
    assert len(page.all("img")) == 1  # a second one would be a copy of the first


def test_an_outline_is_not_taken_for_the_location_that_the_user_set(report: Report, picture: Study) -> None:
    note = "outline: attention of the model, not the location set by the user"
    (pneumonia,) = [one for one in report.findings if one.name == "Pneumonia"]
    for is_set in (True, False):
        findings = (replace(pneumonia, location_overridden=is_set),)
        draft = DraftDocument(report=replace(report, findings=findings), study=picture, attention=attention(picture))
        text = " ".join(Page(format_html(draft)).text.split())
        assert "An outline surrounds" in text
        assert (note in text) == is_set


def test_a_picture_without_a_header_is_identified_by_its_file_or_the_options(report: Report, picture: Study) -> None:
    assert "Patient unknown - chest" in Page(format_html(DraftDocument(report=report, study=picture))).text
    options = DocumentOptions(patient_id="P-7", accession_number="A-8")
    text = " ".join(Page(format_html(DraftDocument(report=report, study=picture, options=options))).text.split())
    assert "ID P-7" in text
    assert "Accession number A-8" in text


def test_a_header_is_shown_as_people_write_it(report: Report, tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Yamada^Tarou=\u5c71\u7530^\u592a\u90ce",
        PatientID="42",
        PatientBirthDate="19700102",
        PatientSex="F",
        PatientAge="042Y",
        StudyDate="20260304",
    )
    text = " ".join(Page(format_html(DraftDocument(report=report, study=read_study(path)))).text.split())
    assert "Yamada, Tarou (\u5c71\u7530 \u592a\u90ce) - ID 42" in text
    assert "Born 1970-01-02" in text
    assert "Sex female" in text
    assert "Age 42 years" in text
    assert "Study date 2026-03-04" in text


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        *((count, list(range(1, count + 1))) for count in (1, 2, 3, 7, 8, 12, 16)),
        (60, [1, 4, 8, 12, 16, 19, 23, 27, 31, 34, 38, 42, 46, 49, 53, 57]),
    ],
)
def test_a_page_shows_all_images_or_says_how_many(report: Report, picture: Study, count: int, shown: list[int]) -> None:
    (series,) = picture.series
    many = replace(picture, series=(replace(series, images=series.images * count),))
    page = Page(format_html(DraftDocument(report=report, study=many)))
    assert [int(number) for number in re.findall(rf"Image (\d+) of {count},", page.text)] == shown
    assert len(page.all("img")) == len(shown)
    text = " ".join(page.text.split())
    note = f"16 of the {count} images are shown, from all parts of the study: a page shows at most 16."
    assert (note in text) == (count > 16)
    assert ("are shown" in text) == (count > 16)


def test_an_image_that_the_model_did_not_get_is_marked(report: Report, tmp_path: Path) -> None:
    for number, view in enumerate(("PA", "LL"), start=1):
        pixels = np.full((8, 8), number, np.uint16)
        values = {"SOPInstanceUID": f"1.2.5.{number}", "InstanceNumber": number, "ViewPosition": view}
        write_dicom(tmp_path / f"{number}.dcm", pixels, **values)
    two = read_study(tmp_path)
    used = (InputFile(sha256=two.images[0].sha256, sop_instance_uid=None),)
    draft = replace(report, provenance=replace(report.provenance, inputs=used))
    text = " ".join(Page(format_html(DraftDocument(report=draft, study=two))).text.split())
    assert text.count("not used by the model") == 1
    assert "Image 2 of 2, view lateral, not used by the model" in text


def test_the_text_of_the_report_comes_before_its_images(report: Report, picture: Study) -> None:
    text = Page(format_html(DraftDocument(report=report, study=picture))).text
    order = ["Patient unknown", "Lateral view only.", "Clear [31mlungs.", "Normal.", "Image 1 of 1", "Findings of the"]
    assert sorted(order, key=text.index) == order


def test_the_prior_study_is_named_above_the_findings_with_the_changes_since_then(
    report: Report, picture: Study
) -> None:
    named = Section(SectionName.COMPARISON, (Sentence("Chest radiograph, 12 days earlier."),))
    comparison = PriorComparison(
        study_instance_uid="1.2.9",
        inputs=(InputFile(sha256="ee" * 32, sop_instance_uid=None),),
        days_earlier=12,
        method="joint probability",
        changes={"Pneumonia": ChangeState.NEW},
    )
    compared = replace(
        report,
        sections=(named, *report.sections),
        provenance=replace(report.provenance, comparison=comparison),
    )
    text = " ".join(Page(format_html(DraftDocument(report=compared, study=picture))).text.split())
    assert text.index("Comparison") < text.index("Chest radiograph, 12 days earlier.") < text.index("Café sign.")
    assert "Prior study 1 image, 12 days earlier; Pneumonia: new (from the joint probability)" in text
    assert f"Prior study, Study Instance UID 1.2.9 Prior image 1 SHA-256 {'ee' * 32}" in text


@pytest.mark.parametrize(("days", "distance"), [(12, "12 days earlier"), (None, "date unknown")])
def test_the_prior_study_is_shown_with_its_date_and_its_findings(
    report: Report, picture: Study, tmp_path: Path, days: int | None, distance: str
) -> None:
    """A page shows the dates and pictures of a patient. The file of a prior study without a date is named instead."""
    pixels = np.full((16, 32), 700, np.uint16)
    path = write_dicom(tmp_path / "prior.dcm", pixels, StudyDate="20260104" if days else "", ViewPosition="PA")
    prior = read_study(path)
    comparison = PriorComparison(
        study_instance_uid="1.2.9",
        inputs=(InputFile(sha256=prior.images[0].sha256, sop_instance_uid=None),),
        days_earlier=days,
        method="joint probability",
        findings={"Pneumonia": FindingState.ABSENT, "Edema": FindingState.UNKNOWN},
    )
    compared = replace(report, provenance=replace(report.provenance, comparison=comparison))
    draft = DraftDocument(report=compared, study=picture, priors=(prior,))
    page = Page(format_html(draft))
    text = " ".join(page.text.split())
    assert f"Prior study {'2026-01-04' if days else prior.name}, {distance}" in text
    assert f"Prior study, {distance}, view PA" in text
    assert [image.size for image in images(page)] == [(640, 320), (640, 320)]
    assert "Finding State Probability Threshold Location Prior study" in text
    assert "mid, lower zones set by the user absent" in text
    assert "Prior study: by its report where that is certain, else from its images." in text
    with_outline = replace(draft, attention=attention(picture))
    assert [image.size for image in images(Page(format_html(with_outline)))] == [(640, 320), (640, 320), (320, 160)]
    alone = Page(format_html(replace(draft, priors=())))
    assert len(alone.all("img")) == 1


def test_attributes_that_the_user_set_are_named_beside_the_patient(report: Report, picture: Study) -> None:
    text = Page(format_html(DraftDocument(report=report, study=picture))).text
    assert "Set by the user plane axial" in " ".join(text.split())
    assert (
        "Set by the user"
        not in Page(format_html(DraftDocument(report=replace(report, attributes=()), study=picture))).text
    )


def test_columns_without_any_value_are_left_out(report: Report, picture: Study) -> None:
    plain = tuple(Finding(name=name, state=FindingState.ABSENT) for name in ("Edema", "Fracture"))
    text = Page(format_html(DraftDocument(report=replace(report, findings=plain), study=picture))).text
    assert "Finding State Edema absent Fracture absent" in " ".join(text.split())
    text = Page(format_html(DraftDocument(report=report, study=picture))).text
    assert "Finding State Probability Threshold Location Pneumonia" in " ".join(text.split())


@pytest.mark.usefixtures("pango")
def test_many_images_do_not_leave_the_first_sheet_empty(report: Report, picture: Study) -> None:
    """Images in rows may be on different sheets."""
    (series,) = picture.series
    six = replace(picture, series=(replace(series, images=series.images * 6),))
    first, *_ = pdf_pages(format_pdf(DraftDocument(report=report, study=six, attention=attention(six))))
    assert "Image 1 of 6" in first


@pytest.mark.usefixtures("pango")
def test_the_table_of_findings_fills_the_sheet_of_the_images(report: Report, picture: Study) -> None:
    """Every row is on one sheet only, and no sheet has fewer than three rows or a table without its head."""
    names = [f"Finding number {number}" for number in range(60)]
    findings = tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in names)
    pages = pdf_pages(format_pdf(DraftDocument(report=replace(report, findings=findings), study=picture)))
    rows = [[name for name in names if f"{name} unknown" in text] for text in pages]
    assert [name for sheet in rows for name in sheet] == names
    assert len(rows[0]) >= 3
    for sheet, text in zip(rows, pages, strict=True):
        assert not sheet or (len(sheet) >= 3 and "Finding State" in text)


@pytest.mark.usefixtures("pango")
@pytest.mark.parametrize("text", ["heart and lungs " * 187, "x" * 2000], ids=["words", "one word"])
def test_a_sentence_of_thousands_of_characters_is_printed_in_seconds(report: Report, picture: Study, text: str) -> None:
    """It took minutes, because WeasyPrint measured the cell of the sentence in quadratic time."""
    long = replace(report, sections=(Section(SectionName.INDICATION, (Sentence(text.strip()),)),))
    start = time.process_time()
    pages = pdf_pages(format_pdf(DraftDocument(report=long, study=picture)))
    assert time.process_time() - start < 10
    assert "".join(text.split()) in "".join("".join(pages).split())


@pytest.mark.usefixtures("pango")
@pytest.mark.parametrize(("paper", "size"), [("A4", (595.28, 841.89)), ("Letter", (612.0, 792.0))])
def test_each_sheet_of_a_long_report_has_banner_patient_and_number(
    report: Report, picture: Study, paper: str, size: tuple[float, float]
) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    sentences = tuple(Sentence(f"Sentence {number} of the report.", number / 200) for number in range(200))
    long = replace(report, sections=(Section(SectionName.FINDINGS, sentences),))
    options = DocumentOptions(patient_id="P-7", paper=paper)  # type: ignore[arg-type]
    pdf = format_pdf(DraftDocument(report=long, study=picture, options=options))
    pages = pdf_pages(pdf)
    assert len(pages) >= 4
    for number, text in enumerate(pages, 1):
        assert BANNER in text
        assert "ID P-7" in text
        assert f"Page {number} of {len(pages)}" in text
    assert all(f"Sentence {number} of the report." in " ".join(pages) for number in range(200))
    reader = pypdf.PdfReader(io.BytesIO(pdf))
    assert all(
        (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx(size, abs=0.1)
        for page in reader.pages
    )


def lines_of(page: Any) -> list[tuple[float, str]]:
    """Return the texts of a page of a PDF with their heights above its bottom, points, from the top down."""
    found: list[tuple[float, str]] = []

    def record(text: str, matrix: list[float], text_matrix: list[float], *_: object) -> None:
        if text.strip():
            height = text_matrix[4] * matrix[1] + text_matrix[5] * matrix[3] + matrix[5]
            found.append((height, "".join(text.split())))

    page.extract_text(visitor_text=record)
    return sorted(found, key=lambda line: -line[0])


FORCED = "FORCED DRAFT: outside the scope of the model [view]: the view is lateral, and the model was made for PA, AP"
LONG = f"{FORCED}, FRONTAL and further views, whose names need another line of the header of each sheet"


@pytest.mark.usefixtures("pango")
@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("forced", [(), (FORCED,), (FORCED, LONG), (LONG, FORCED, LONG), (f"{FORCED} {'x' * 150}",)])
def test_the_header_of_a_forced_draft_is_whole_and_covers_nothing(
    report: Report, picture: Study, forced: tuple[str, ...], paper: str
) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    sentences = tuple(Sentence(f"Sentence {number}.", 0.5) for number in range(60))
    long = replace(report, notices=forced, sections=(Section(SectionName.FINDINGS, sentences),))
    options = DocumentOptions(paper=paper)  # type: ignore[arg-type]
    pages = pypdf.PdfReader(io.BytesIO(format_pdf(DraftDocument(report=long, study=picture, options=options)))).pages
    expected = "".join("".join([BANNER, *forced]).split())
    for page in pages[:2]:
        lines = lines_of(page)
        assert lines[0][0] < float(page.mediabox.height) - 13, "10 points for the letters, and the border of the banner"
        header = ""
        while header != expected:
            last, text = lines.pop(0)
            header += text
            assert expected.startswith(header)
        assert last - lines[0][0] > 14, "the border of the banner is below its last line"


@pytest.mark.usefixtures("pango")
def test_metadata_of_the_pdf_name_no_patient_and_give_the_language(report: Report, tmp_path: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    path = write_dicom(tmp_path / "a.dcm", PatientName="Secret^Name", PatientID="42")
    reader = pypdf.PdfReader(io.BytesIO(format_pdf(DraftDocument(report=report, study=read_study(path)))))
    assert reader.metadata is not None
    assert reader.metadata.title == "Draft radiology report"
    assert reader.metadata.creator == "report-gen 0.1.0"
    assert "Secret" not in str(reader.metadata)
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert "/K" in root["/StructTreeRoot"]  # the tree of the tags


@pytest.mark.usefixtures("pango")
def test_the_same_draft_gives_the_same_pdf(report: Report, picture: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    draft = DraftDocument(report=report, study=picture)
    assert format_pdf(draft) == format_pdf(draft)


@pytest.mark.usefixtures("pango")
def test_the_fonts_are_loaded_once_for_the_pages_of_a_thread(
    report: Report, picture: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fontconfig keeps memory of each configuration: 0.2 MB for a page, 70 MB for 300 pages."""
    from weasyprint.text import fonts

    loaded: list[int] = []

    class CountedConfiguration(fonts.FontConfiguration):  # type: ignore[misc]
        def __init__(self) -> None:
            loaded.append(threading.get_ident())
            super().__init__()

    monkeypatch.setattr(fonts, "FontConfiguration", CountedConfiguration)
    draft = DraftDocument(report=report, study=picture)

    def write_three() -> None:
        assert all(format_pdf(draft).startswith(b"%PDF") for _ in range(3))

    for _ in range(2):  # a new thread has no fonts from other tests
        thread = threading.Thread(target=write_three)
        thread.start()
        thread.join()
    assert len(loaded) == 2


@pytest.mark.usefixtures("pango")
def test_names_in_other_scripts_are_drawn_with_a_font_that_has_them(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("justmytype_intl_cjk", reason="the font package of the extra clinical is not installed")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    names = ("Żółć", "Παπάς", "Жуков", "山田太郎", "かな", "김희중")
    path = write_dicom(
        tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 192", PatientName=" ".join(names), PatientID="42"
    )
    page = pypdf.PdfReader(io.BytesIO(format_pdf(DraftDocument(report=report, study=read_study(path))))).pages[0]
    assert all(name in page.extract_text() for name in names)
    fonts = {font.get_object()["/BaseFont"].partition("+")[2] for font in page["/Resources"]["/Font"].values()}
    # A character that no font has is drawn as a box in the first font, so the fonts tell what was drawn.
    assert fonts >= {"Draft-Sans-Bold", "Noto-Sans-JP-Bold", "Noto-Sans-KR-Bold"}


@pytest.mark.parametrize(
    ("text", "fonts"),
    [
        ("Müller Παπάς Жуков", ()),
        ("山田 たろう", ("Noto Sans JP", "Noto Sans SC", "Noto Sans TC")),
        ("김희중", ("Noto Sans KR",)),
        ("王小东", ("Noto Sans SC", "Noto Sans TC")),
    ],
)
def test_fonts_are_chosen_by_the_letters_of_a_text(text: str, fonts: tuple[str, ...]) -> None:
    assert east_asian_fonts(text) == fonts


def test_the_key_image_has_the_banner_above_the_radiograph(report: Report, picture: Study) -> None:
    draft = DraftDocument(report=report, study=picture, attention=attention(picture))
    image = key_image(draft)
    assert image.dtype == np.uint8
    gray = np.flatnonzero((image == 128).all(axis=2).mean(axis=1) > 0.9)  # rows of the radiograph, which is gray
    assert image.shape[1] == 1024
    rows = np.flatnonzero((image[:, 0] == 128).all(axis=1))
    assert len(rows) == 512  # 32 by 64 pixels, enlarged 16 times
    assert 0 < rows[0] <= gray[0]
    assert image[: rows[0]].max() > 200  # the letters of the banner
    assert image[rows[-1] + 1 :].max() > 200  # and those of the findings
    without = key_image(replace(draft, attention=None))
    assert without.shape[1] == 1024


def test_a_key_image_of_a_large_radiograph_is_reduced(report: Report, picture: Study) -> None:
    pixels = np.zeros((3000, 1500), dtype=np.float32)
    large = replace(attention(picture), image=pixels, square=(-750.0, 0.0, 3000.0), part=Box(0, 0, 3000, 1500))
    image = key_image(DraftDocument(report=report, study=picture, attention=large))
    assert image.shape[1] == 1024
    assert image.shape[0] > 2048


def test_a_missing_library_is_named_with_the_extra(
    report: Report, picture: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(UsageError, match=r'needs the library weasyprint.*pip install "report-gen\[clinical\]"'):
        format_pdf(DraftDocument(report=report, study=picture))


def test_an_unknown_paper_size_is_refused_with_the_choices(report: Report, picture: Study) -> None:
    options = DocumentOptions(paper="A3")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'A3'; choose from A4, Letter"):
        format_html(DraftDocument(report=report, study=picture, options=options))


def test_the_page_of_a_volume_shows_the_slices_that_the_model_was_given(tmp_path: Path, report: Report) -> None:
    """The files have no window, so they show -1000 to 1000 HU; the model is given the brain window, 0 to 80 HU."""
    pixels = np.full((40, 40), 75, dtype=np.int16)
    pixels[0, 0], pixels[0, 1] = -1000, 1000
    positions = [(0, 0, 2 * number) for number in range(20)]
    write_slices(tmp_path / "ct", positions, shape=(40, 40), pixels=lambda _: pixels, BodyPartExamined="HEAD")
    study = read_study(tmp_path / "ct")
    given = choose_views(study, 4, sampling="even").study.images
    page = Page(format_html(DraftDocument(report=report, study=study, given=given)))
    text = " ".join(page.text.split())
    assert "Slice 1 of 20 Slice 7 of 20 Slice 13 of 20 Slice 20 of 20" in text
    assert text.count("brain, C 40 W 80 HU") == 1
    assert "Window of all slices: brain, C 40 W 80 HU." in text
    assert "view unknown" not in page.text
    assert "All 4 slices that the model was given are shown. The study has 20 images." in page.text
    source = page.all("img")[0]["src"]
    assert source is not None
    shown = np.asarray(PillowImage.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    assert np.median(shown) == pytest.approx(255 * 75 / 80, abs=3)
