"""The registry of output formats."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from report_gen import read_study
from report_gen.errors import UsageError
from report_gen.outputs import (
    DocumentOptions,
    DraftDocument,
    find_format,
    format_json,
    format_names,
    format_text,
    get_format,
)
from report_gen.outputs.page_content import page_content
from report_gen.records import BANNER, Image, Report, Series, Study
from tests.dicom_files import write_dicom


@pytest.fixture
def study(tmp_path: Path) -> Study:
    image = Image(path=tmp_path / "a.png", sha256="00" * 32, rows=1, columns=1)
    return Study(name="a", series=(Series(images=(image,)),))


def test_text_and_json_are_registered(report: Report, study: Study) -> None:
    assert format_names()[:2] == ("txt", "json")
    assert get_format("txt").render(DraftDocument(report=report, study=study)).decode() == format_text(report)
    assert get_format("json").render(DraftDocument(report=report, study=study)).decode() == format_json(report)
    assert json.loads(get_format("json").render(DraftDocument(report=report, study=study)))["sections"]


@pytest.mark.parametrize("name", format_names())
def test_each_format_describes_itself(name: str) -> None:
    found = get_format(name)
    assert found.name == name
    assert found.suffix.startswith(".")
    assert found.media_type.count("/") == 1
    assert found.is_text is (name in ("txt", "json", "html", "fhir"))
    assert found.summary
    assert find_format(f"study{found.suffix.upper()}") is found


def test_a_file_name_shows_its_format() -> None:
    """Several formats are JSON or DICOM, and their files lie beside each other."""
    assert len({get_format(name).suffix for name in format_names()}) == len(format_names())
    assert find_format("IM0001") is None


def test_an_unknown_format_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match=r"'docx'.*txt, json"):
        get_format("docx")


@pytest.mark.parametrize("name", ["dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc"])
def test_a_missing_library_is_an_error_that_names_the_extra(
    name: str, report: Report, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.startswith(("highdicom", "report_gen.outputs.dicom"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(UsageError, match=rf"{name} needs the library highdicom.*report-gen\[clinical\]"):
        get_format(name).render(DraftDocument(report=report, study=study))


def test_formats_that_contain_the_page_share_one_rendering(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[bytes] = []

    def render(_: DraftDocument) -> bytes:
        rendered.append(b"%PDF-1.7 " + bytes([len(rendered) % 256]))
        return rendered[-1]

    monkeypatch.setattr("report_gen.outputs.page.format_pdf", render)
    draft = DraftDocument(report=report, study=read_study(write_dicom(tmp_path / "a.dcm")))
    page = get_format("pdf").render(draft)
    encapsulated = dcmread(BytesIO(get_format("dicom-pdf").render(draft)))
    bundle = json.loads(get_format("fhir").render(draft))
    _, attached = bundle["entry"][0]["resource"]["presentedForm"]
    assert rendered == [page]
    assert encapsulated.EncapsulatedDocument[: encapsulated.EncapsulatedDocumentLength] == page
    assert base64.b64decode(attached["data"]) == page
    other = replace(draft, options=DocumentOptions(paper="Letter"))
    assert get_format("pdf").render(other) == rendered[1]


@pytest.mark.usefixtures("pango")
def test_html_and_pdf_compose_the_page_once(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[DraftDocument] = []

    def count(draft: DraftDocument) -> dict[str, Any]:
        composed.append(draft)
        return page_content(draft)

    monkeypatch.setattr("report_gen.outputs.page.page_content", count)
    draft = DraftDocument(report=report, study=read_study(write_dicom(tmp_path / "a.dcm")))
    assert get_format("html").render(draft).startswith(b"<!DOCTYPE html>")
    assert get_format("pdf").render(draft).startswith(b"%PDF-")
    assert composed == [draft]


FORCED_NOTICE = (
    "FORCED DRAFT: outside the scope of the model [image]: the image was not recognized as a chest radiograph"
)


@pytest.mark.usefixtures("pango")
def test_a_forced_draft_says_so_beside_the_banner_in_every_format(report: Report, tmp_path: Path) -> None:
    """Only programs that show nothing but the status could hide it."""
    pdf = pytest.importorskip("pypdf")
    report = replace(report, notices=(FORCED_NOTICE, *report.notices))
    draft = DraftDocument(report=report, study=read_study(write_dicom(tmp_path / "a.dcm")))
    content = {name: get_format(name).render(draft) for name in format_names()}
    assert content["txt"].decode().startswith(f"{BANNER}\n\nNOTICE: {FORCED_NOTICE}\n")
    assert json.loads(content["json"])["notices"][0] == FORCED_NOTICE
    banner = (
        f'<header class="banner"><p><strong>{BANNER}</strong></p><p class="forced"><strong>{FORCED_NOTICE}</strong></p>'
    )
    assert banner in content["html"].decode()
    assert content["html"].decode().count(FORCED_NOTICE) == 1
    encapsulated = dcmread(BytesIO(content["dicom-pdf"])).EncapsulatedDocument
    for document in (content["pdf"], encapsulated):
        for page in pdf.PdfReader(BytesIO(document)).pages:
            assert FORCED_NOTICE in " ".join(page.extract_text().split())
    for name in ("dicom-sr", "dicom-sr-findings"):
        first, second = dcmread(BytesIO(content[name])).ContentSequence[:2]
        assert (first.TextValue, second.TextValue) == (BANNER, FORCED_NOTICE)
    diagnostic = json.loads(content["fhir"])["entry"][0]["resource"]
    assert diagnostic["conclusion"].startswith(f"{BANNER}\n\n{FORCED_NOTICE}\n\n")
    assert f"<p><b>{BANNER}</b></p><p><b>{FORCED_NOTICE}</b></p>" in diagnostic["text"]["div"]
    observations = [line for line in content["hl7"].decode().split("\r") if line.startswith("OBX")]
    assert [BANNER in observations[0], FORCED_NOTICE in observations[1]] == [True, True]
    pixels = dcmread(BytesIO(content["dicom-sc"])).pixel_array
    gentle = replace(draft, report=replace(report, notices=(FORCED_NOTICE.removeprefix("FORCED DRAFT: "),)))
    drawn = dcmread(BytesIO(get_format("dicom-sc").render(gentle))).pixel_array
    yellow = [((image[..., 0] > 200) & (image[..., 2] < 120)).sum() for image in (pixels, drawn)]
    assert yellow[0] > 1.5 * yellow[1]  # the notice has the color of the banner


@pytest.mark.parametrize("name", format_names())
def test_every_format_names_the_model(name: str, report: Report, tmp_path: Path) -> None:
    report = replace(report, provenance=replace(report.provenance, model_name="the-model-of-this-draft"))
    draft = DraftDocument(report=report, study=read_study(write_dicom(tmp_path / "a.dcm")))
    if name in ("pdf", "dicom-pdf"):
        pdf = pytest.importorskip("pypdf")
        page = get_format(name).render(draft)
        page = page if name == "pdf" else dcmread(BytesIO(page)).EncapsulatedDocument
        text = "".join(one.extract_text() for one in pdf.PdfReader(BytesIO(page)).pages)
    elif name == "dicom-sc":
        text = str(dcmread(BytesIO(get_format(name).render(draft))).ContributingEquipmentSequence[0])
    else:
        text = get_format(name).render(draft).decode(errors="replace")
    assert "the-model-of-this-draft" in text


def test_the_registry_loads_no_library_for_dicom_objects() -> None:
    code = "import report_gen.outputs, sys; sys.exit('highdicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
