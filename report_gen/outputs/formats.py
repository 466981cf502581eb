"""Registry of the formats in which a draft is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from report_gen.errors import UsageError
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.extras import clinical_extra
from report_gen.outputs.json import format_json
from report_gen.outputs.text import format_text


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """A file format for drafts."""

    name: str
    """Name of the format on the command line."""
    suffix: str
    """Suffix of its files, with the dot."""
    media_type: str
    """Media type of its content (RFC 6838), for HTTP and for DICOM."""
    render: Callable[[DraftDocument], bytes]
    """Writes the content of the file. Text is encoded as UTF-8."""
    needs_attention: bool = False
    """Whether the format shows where the findings are, so that `DraftDocument.attention` must be computed."""

    @property
    def is_text(self) -> bool:
        """Whether the content may be printed on a terminal."""
        return self.media_type.startswith("text/") or self.media_type == "application/json"


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


def _render_text(draft: DraftDocument) -> bytes:
    return format_text(draft.report).encode()


def _render_json(draft: DraftDocument) -> bytes:
    return format_json(draft.report).encode()


def _render_dicom_sr(draft: DraftDocument) -> bytes:
    with clinical_extra("dicom-sr"):
        from report_gen.outputs.dicom import format_dicom_sr
    return format_dicom_sr(draft)


def _render_dicom_sr_findings(draft: DraftDocument) -> bytes:
    with clinical_extra("dicom-sr-findings"):
        from report_gen.outputs.dicom import format_dicom_sr_findings
    return format_dicom_sr_findings(draft)


def _render_dicom_pdf(draft: DraftDocument) -> bytes:
    with clinical_extra("dicom-pdf"):
        from report_gen.outputs.dicom import format_dicom_pdf
    return format_dicom_pdf(draft)


def _render_dicom_sc(draft: DraftDocument) -> bytes:
    with clinical_extra("dicom-sc"):
        from report_gen.outputs.dicom import format_dicom_sc
    return format_dicom_sc(draft)


_FORMATS: Mapping[str, OutputFormat] = {
    output.name: output
    for output in (
        OutputFormat(name="txt", suffix=".txt", media_type="text/plain", render=_render_text),
        OutputFormat(name="json", suffix=".json", media_type="application/json", render=_render_json),
        OutputFormat(name="dicom-sr", suffix=".sr.dcm", media_type="application/dicom", render=_render_dicom_sr),
        OutputFormat(
            name="dicom-sr-findings",
            suffix=".findings.dcm",
            media_type="application/dicom",
            render=_render_dicom_sr_findings,
        ),
        OutputFormat(
            name="dicom-pdf",
            suffix=".pdf.dcm",
            media_type="application/dicom",
            render=_render_dicom_pdf,
            needs_attention=True,
        ),
        OutputFormat(
            name="dicom-sc",
            suffix=".sc.dcm",
            media_type="application/dicom",
            render=_render_dicom_sc,
            needs_attention=True,
        ),
    )
}
