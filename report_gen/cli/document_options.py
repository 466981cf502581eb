"""Options of `report-gen draft` that concern the documents of a draft, and the checks of their values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from report_gen.errors import StudyError, UsageError, describe_missing
from report_gen.outputs import DocumentOptions, OutputFormat, find_format, format_names, get_format
from report_gen.word_lists import join_words

if TYPE_CHECKING:
    from report_gen.records import Study

_DEFAULT_FORMAT = "txt"
_LONGEST = {"--patient-id": 64, "--accession": 16}
"""Longest value by option, characters: value representations LO and SH of DICOM (PS3.5 6.2)."""


def _list_formats() -> str:
    return "; ".join(f"{name}: {get_format(name).summary}" for name in format_names())


Formats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME",
        autocompletion=format_names,
        show_default=False,
        help=f"{_list_formats()}. May be repeated: every study gets a file of each format, with the same draft. PDF, "
        f"DICOM and HL7 formats, and several formats, need --output. Default: {_DEFAULT_FORMAT}.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace drafts of the same images that were edited since they were written, and name each. Without it "
        "only unchanged drafts are replaced. A file that report-gen did not write, a draft of other images, and a "
        "document that later versions replace are kept in any case.",
    ),
]
Revises = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        readable=False,
        help="Write a new version of FILE, an earlier DICOM, FHIR or HL7 document of one study. The new document "
        "states that it replaces FILE. It has the name of the study with -v2, -v3 and so on; no file is overwritten. "
        "If a newer version of FILE is beside it or in the folder of --output, the study is refused.",
    ),
]
PatientId = Annotated[
    str | None, typer.Option(metavar="ID", help="Patient ID of one study whose images have no DICOM header.")
]
Accession = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Accession number of one study whose images have no DICOM header.")
]
Paper = Annotated[
    Literal["A4", "Letter"], typer.Option(case_sensitive=False, help="Paper size of html, pdf, dicom-pdf and fhir.")
]
BasicTextSr = Annotated[
    bool,
    typer.Option("--basic-text-sr", help="Format dicom-sr: Basic Text SR instead of Enhanced SR, for old archives."),
]
FhirVersion = Annotated[
    Literal["R4B", "R5"], typer.Option(case_sensitive=False, help="FHIR version of the format fhir.")
]


def choose_formats(
    names: Sequence[str] | None, output: Path | None, revises: Path | None, *, resume: bool, overwrite: bool
) -> tuple[OutputFormat, ...]:
    """Return the formats in which drafts are written, each once.

    Raises:
        UsageError: A format is unknown, its library is missing, or options do not fit together.
        StudyError: The file of --revises does not exist.
    """
    formats = tuple(get_format(name) for name in dict.fromkeys(names or ()))
    if revises is not None:
        formats = (_format_of_version(revises, formats, resume=resume, overwrite=overwrite),)
    formats = formats or (get_format(_DEFAULT_FORMAT),)
    for output_format in formats:
        output_format.check_libraries()
    if output is None:
        for output_format in formats:
            if not output_format.is_text:
                raise UsageError(f"--format {output_format.name} cannot be printed; choose a folder with --output")
        needs_folder = {"several formats": len(formats) > 1, "--revises": bool(revises), "--overwrite": overwrite}
        for what, is_needed in needs_folder.items():
            if is_needed:
                raise UsageError(f"{what}: files need a folder; name the folder with --output")
    return formats


def check_folder_name(output: Path, formats: Sequence[str] = ()) -> None:
    """Check that the folder of the drafts does not have the name of a document, such as `draft.pdf`.

    Documents are named after their studies: a batch has several, and --resume and --revises find them by these names. A
    folder that exists may have any name.

    Args:
        output: Value of --output.
        formats: Names of the formats that are written. Default: TXT.

    Raises:
        UsageError: The name ends with the suffix of a document, and no such folder exists.
    """
    suffix = next((one for one in (*_suffixes(), ".dcm") if output.name.lower().endswith(one)), "")
    if suffix and not output.is_dir():
        folder = output.with_name(output.name[: -len(suffix)] or "drafts")
        known = [name for name in dict.fromkeys(formats) if name in format_names()] or [_DEFAULT_FORMAT]
        written = [get_format(name).suffix for name in known]
        files = join_words([str(folder / f"STUDY{one}") for one in written])
        other = next((name for name in format_names() if get_format(name).suffix == suffix), "")
        wanted = f"; add --format {other} for that format" if other and suffix not in written else ""
        raise UsageError(
            f"--output {output}: is the name of a file, and a folder is expected; write --output {folder} for "
            f"{files}{wanted}"
        )


def _suffixes() -> list[str]:
    """Return the suffixes of all formats, the longest first."""
    return sorted((get_format(name).suffix for name in format_names()), key=len, reverse=True)


def _format_of_version(
    revises: Path, formats: Sequence[OutputFormat], *, resume: bool, overwrite: bool
) -> OutputFormat:
    """Return the format of the document that is to be replaced."""
    for option, is_given in (("--resume", resume), ("--overwrite", overwrite)):
        if is_given:
            raise UsageError(f"{option}: --revises writes a new file and overwrites none; leave {option} out")
    if not revises.is_file():
        raise StudyError(
            revises, describe_missing(revises, "does not exist or is not a file; check the path after --revises")
        )
    by_name = find_format(revises.name)
    found = formats[0] if formats else by_name
    if found is None:
        raise UsageError(f"--revises {revises}: its name has no suffix of a format; name the format with --format")
    if len(formats) > 1 or (by_name is not None and found is not by_name and found.suffix != by_name.suffix):
        raise UsageError(f"--revises {revises}: the new version has the format of this file; leave --format out")
    if not found.has_versions:
        raise UsageError(
            f"--revises {revises}: documents of the format {found.name} cannot state which earlier document "
            "they replace; write the draft to another folder"
        )
    return found


def document_settings(
    options: DocumentOptions, output_format: OutputFormat, *, omitted: Collection[str] = ()
) -> dict[str, Any]:
    """Return the options that determine a document beside its draft, as values that JSON can write.

    Values that are the default are left out, so that a new option does not make every earlier document outdated.

    Args:
        options: The options.
        output_format: Format of the document. Options of other formats are left out.
        omitted: Names of further options that are left out.
    """
    return {
        field.name: getattr(options, field.name)
        for field in fields(options)
        if field.name in output_format.options
        and field.name not in omitted
        and getattr(options, field.name) != field.default
    }


def parse_document_options(
    *,
    patient_id: str | None,
    accession: str | None,
    paper: Literal["A4", "Letter"],
    basic_text_sr: bool,
    fhir_version: Literal["R4B", "R5"],
) -> DocumentOptions:
    """Return the options of documents.

    Raises:
        UsageError: A patient ID or an accession number is no value that DICOM can have. The message does not quote it.
    """
    for option, value in (("--patient-id", patient_id), ("--accession", accession)):
        longest = _LONGEST[option]
        if value is not None and (
            not value.strip() or len(value) > longest or "\\" in value or not value.isprintable()
        ):
            raise UsageError(f"{option}: use 1 to {longest} characters, without backslash or control character")
    return DocumentOptions(
        patient_id=patient_id,
        accession_number=accession,
        paper=paper,
        basic_text_sr=basic_text_sr,
        fhir_version=fhir_version,
    )


def check_document_options(
    options: DocumentOptions, revises: Path | None, studies: Sequence[Study], *, refused: int
) -> None:
    """Check the options of documents against the studies.

    Args:
        options: The options.
        revises: Value of --revises.
        studies: The studies that will be drafted.
        refused: Number of the others; the options could have been meant for one of them.

    Raises:
        UsageError: An option is for one study and there are several, or a DICOM header states what it sets.
    """
    for option, value in (
        ("--revises", revises),
        ("--patient-id", options.patient_id),
        ("--accession", options.accession_number),
    ):
        if value is None or not studies:
            continue
        if len(studies) + refused > 1:
            raise UsageError(
                f"{option} is for one study, and there are {len(studies) + refused}; draft them one by one"
            )
        if option != "--revises" and _has_header(studies[0]):
            raise UsageError(f"{option}: the study has a DICOM header, which is never overridden; leave the option out")


def _has_header(study: Study) -> bool:
    return study.study_instance_uid is not None or any(image.sop_instance_uid for image in study.images)
