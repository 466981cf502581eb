"""Registry of the formats in which a draft is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from report_gen.errors import UsageError
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.extras import check_libraries, clinical_extra, load_libraries
from report_gen.outputs.json import format_json
from report_gen.outputs.text import format_text
from report_gen.outputs.versions import DocumentVersion


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """A file format for drafts."""

    name: str
    """Name of the format on the command line."""
    suffix: str
    """Suffix of its files, with the dot."""
    media_type: str
    """Media type of its content (RFC 6838), for HTTP and for DICOM."""
    summary: str
    """What the format is, in a few words, for the help of the command line."""
    render: Callable[[DraftDocument], bytes]
    """Writes the content of the file. Text is encoded as UTF-8."""
    libraries: tuple[str, ...] = ()
    """Modules of the extra `clinical` without which the format cannot be written."""
    options: tuple[str, ...] = ()
    """Fields of `DocumentOptions` that change its files."""
    needs_attention: bool = False
    """Whether the format shows where the findings are, so that `DraftDocument.attention` must be computed."""
    read_version: Callable[[Path], DocumentVersion] | None = None
    """Reads which version of which document a file is, or raises StudyError if report-gen did not write it. None: no
    document states which earlier one it replaces, `DraftDocument.revises`."""

    @property
    def has_versions(self) -> bool:
        """Whether a document states which earlier one it replaces."""
        return self.read_version is not None

    @property
    def is_text(self) -> bool:
        """Whether the content may be printed on a terminal."""
        return self.media_type.startswith("text/") or self.media_type in ("application/json", "application/fhir+json")

    def check_libraries(self) -> None:
        """Check whether the libraries of the format are installed, without importing them.

        Raises:
            UsageError: A library is missing. The message says how to install it.
        """
        check_libraries(f"the format {self.name}", self.libraries)

    def load_libraries(self) -> None:
        """Import the libraries of the format. A draft that takes seconds can be made afterwards.

        Raises:
            UsageError: A library, or a system library that it loads, is missing.
        """
        load_libraries(f"the format {self.name}", self.libraries)


def get_format(name: str) -> OutputFormat:
    """Return a registered format.

    Args:
        name: One of `format_names`.

    Raises:
        UsageError: There is no format of this name.
    """
    if name not in _FORMATS:
        raise UsageError(f"unknown output format {name!r}; choose from {', '.join(_FORMATS)}")
    return _FORMATS[name]


def format_names() -> tuple[str, ...]:
    """Return the names of the registered formats."""
    return tuple(_FORMATS)


def find_format(file_name: str) -> OutputFormat | None:
    """Return the format whose suffix a file name has, the longest if it has several; None if it has none."""
    found = [output for output in _FORMATS.values() if file_name.lower().endswith(output.suffix)]
    return max(found, key=lambda output: len(output.suffix), default=None)


def _render_text(draft: DraftDocument) -> bytes:
    return format_text(draft.report).encode()


def _render_json(draft: DraftDocument) -> bytes:
    return format_json(draft.report).encode()


def _render_html(draft: DraftDocument) -> bytes:
    return draft.html


def _render_pdf(draft: DraftDocument) -> bytes:
    return draft.pdf


def _render_dicom_sr(draft: DraftDocument) -> bytes:
    with clinical_extra("the format dicom-sr"):
        from report_gen.outputs.dicom import format_dicom_sr
    return format_dicom_sr(draft)


def _render_dicom_sr_findings(draft: DraftDocument) -> bytes:
    with clinical_extra("the format dicom-sr-findings"):
        from report_gen.outputs.dicom import format_dicom_sr_findings
    return format_dicom_sr_findings(draft)


def _render_dicom_pdf(draft: DraftDocument) -> bytes:
    with clinical_extra("the format dicom-pdf"):
        from report_gen.outputs.dicom import format_dicom_pdf
    return format_dicom_pdf(draft)


def _render_dicom_sc(draft: DraftDocument) -> bytes:
    with clinical_extra("the format dicom-sc"):
        from report_gen.outputs.dicom import format_dicom_sc
    return format_dicom_sc(draft)


def _read_dicom_version(path: Path) -> DocumentVersion:
    with clinical_extra("--revises"):
        from report_gen.outputs.dicom.identity import read_object_version
    return read_object_version(path)


def _render_fhir(draft: DraftDocument) -> bytes:
    from report_gen.outputs.fhir import format_fhir

    return format_fhir(draft)


def _read_fhir_version(path: Path) -> DocumentVersion:
    from report_gen.outputs.fhir import read_bundle_version

    return read_bundle_version(path)


def _render_hl7(draft: DraftDocument) -> bytes:
    from report_gen.outputs.hl7 import format_hl7

    return format_hl7(draft)


def _read_hl7_version(path: Path) -> DocumentVersion:
    from report_gen.outputs.hl7 import read_message_version

    return read_message_version(path)


_IDENTITY = ("patient_id", "accession_number")

_FORMATS: Mapping[str, OutputFormat] = {
    output.name: output
    for output in (
        OutputFormat(name="txt", suffix=".txt", media_type="text/plain", summary="plain text", render=_render_text),
        OutputFormat(
            name="json",
            suffix=".json",
            media_type="application/json",
            summary="sections, findings and provenance",
            render=_render_json,
        ),
        OutputFormat(
            name="html",
            suffix=".html",
            media_type="text/html",
            summary="a page for readers, with images",
            render=_render_html,
            libraries=("jinja2",),
            options=(*_IDENTITY, "paper"),
            needs_attention=True,
        ),
        OutputFormat(
            name="pdf",
            suffix=".pdf",
            media_type="application/pdf",
            summary="the same page for print",
            render=_render_pdf,
            libraries=("jinja2", "weasyprint"),
            options=(*_IDENTITY, "paper"),
            needs_attention=True,
        ),
        OutputFormat(
            name="dicom-sr",
            suffix=".sr.dcm",
            media_type="application/dicom",
            summary="structured report for viewers",
            render=_render_dicom_sr,
            libraries=("highdicom",),
            options=(*_IDENTITY, "basic_text_sr"),
            read_version=_read_dicom_version,
        ),
        OutputFormat(
            name="dicom-sr-findings",
            suffix=".findings.dcm",
            media_type="application/dicom",
            summary="coded findings for programs",
            render=_render_dicom_sr_findings,
            libraries=("highdicom",),
            options=_IDENTITY,
            read_version=_read_dicom_version,
        ),
        OutputFormat(
            name="dicom-pdf",
            suffix=".pdf.dcm",
            media_type="application/dicom",
            summary="the page as a DICOM object",
            render=_render_dicom_pdf,
            libraries=("jinja2", "weasyprint", "highdicom"),
            options=(*_IDENTITY, "paper"),
            needs_attention=True,
            read_version=_read_dicom_version,
        ),
        OutputFormat(
            name="dicom-sc",
            suffix=".sc.dcm",
            media_type="application/dicom",
            summary="key image with the findings",
            render=_render_dicom_sc,
            libraries=("highdicom",),
            options=_IDENTITY,
            needs_attention=True,
            read_version=_read_dicom_version,
        ),
        OutputFormat(
            name="fhir",
            suffix=".fhir.json",
            media_type="application/fhir+json",
            summary="FHIR bundle",
            render=_render_fhir,
            libraries=("fhir.resources", "jinja2", "weasyprint"),  # the bundle contains the page in PDF
            options=(*_IDENTITY, "paper", "fhir_version"),
            needs_attention=True,
            read_version=_read_fhir_version,
        ),
        OutputFormat(
            name="hl7",
            suffix=".hl7",
            media_type="application/hl7-v2",
            summary="HL7 v2 message ORU^R01",
            render=_render_hl7,
            options=_IDENTITY,
            read_version=_read_hl7_version,
        ),
    )
}
