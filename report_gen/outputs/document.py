"""A draft together with everything that output formats write beside its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from report_gen.records import Heatmap, Image, Report, Study

if TYPE_CHECKING:
    from report_gen.outputs.source_header import SourceHeader


LAYOUT_OPTIONS = ("paper", "basic_text_sr", "fhir_version")
"""Fields of `DocumentOptions` that determine how a document is written, and contain no data of a patient."""


@dataclass(frozen=True, kw_only=True)
class DocumentOptions:
    """Choices of the user about the documents of a draft."""

    patient_id: str | None = None
    """Patient ID of a study whose images have no DICOM header. A header is never overridden."""
    accession_number: str | None = None
    """Accession number of a study whose images have no DICOM header."""
    paper: Literal["A4", "Letter"] = "A4"
    """Paper size of pages."""
    basic_text_sr: bool = False
    """Write Basic Text SR instead of Enhanced SR, for old archives."""
    fhir_version: Literal["R4B", "R5"] = "R4B"
    """Version of FHIR."""


@dataclass(frozen=True, kw_only=True)
class DraftDocument:
    """A draft with its study and the other data that output formats write."""

    report: Report
    study: Study
    attention: Heatmap | None = None
    """Attention of the findings over the first image of the study; None if the format does not need it or the model has
    no findings."""
    given: tuple[Image, ...] = ()
    """The slices of a volume that the model was given, in the windows in which it got them; empty if it was given the
    images of the study as they are."""
    model_card: str = ""
    """Model card of the checkpoint, Markdown."""
    options: DocumentOptions = field(default_factory=DocumentOptions)
    revises: Path | None = None
    """An earlier document of the same format and study, of which this one is a new version."""
    priors: tuple[Study, ...] = ()
    """Prior studies of the request. Documents refer to the one with which the draft was compared."""

    @property
    def shown(self) -> tuple[Image, ...]:
        """The images that a page of the draft shows, those that the model was given."""
        return self.given or self.study.images

    @cached_property
    def source(self) -> SourceHeader:
        """Patient, study and images as the DICOM headers of the study state them; read from the files once.

        Raises:
            StudyError: An image of the study cannot be read any more.
        """
        from report_gen.outputs.source_header import read_source_header  # imports pydicom, which --help does not need

        return read_source_header(
            self.study, patient_id=self.options.patient_id, accession_number=self.options.accession_number
        )

    @cached_property
    def html(self) -> bytes:
        """The page of the draft as HTML. It reads the images of the study, so the formats that contain it share it.

        Raises:
            StudyError: An image of the study cannot be read any more.
            UsageError: Jinja2 is not installed.
        """
        from report_gen.outputs.page import format_html

        return format_html(self)

    @property
    def compared_prior(self) -> Study | None:
        """The prior study with which the draft was compared, with the images that the model got; None without one."""
        compared = self.report.provenance.comparison
        used = set() if compared is None else {file.sha256 for file in compared.inputs}
        for study in self.priors:
            if images := [image for image in study.images if image.sha256 in used]:
                return study.with_images(images)
        return None

    @cached_property
    def prior_source(self) -> SourceHeader | None:
        """As `source`, of the images of the prior study with which the draft was compared; None without one.

        Raises:
            StudyError: An image of the prior study cannot be read any more.
        """
        from report_gen.outputs.source_header import read_source_header

        return None if self.compared_prior is None else read_source_header(self.compared_prior)

    @cached_property
    def pdf(self) -> bytes:
        """The page of the draft as a PDF file. It takes half a second, so the formats that contain it share it.

        Raises:
            StudyError: An image of the study cannot be read any more.
            UsageError: WeasyPrint or its system library Pango is not installed.
        """
        from report_gen.outputs.page import format_pdf

        return format_pdf(self)
