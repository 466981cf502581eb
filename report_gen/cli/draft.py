"""`report-gen draft`: draft a report of every study."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from report_gen.cli.options import (
    Candidates,
    Device,
    Dtype,
    LimitMemory,
    Method,
    check_device,
    check_png_name,
    choose_decoding,
    image_memory_limit,
    load_drafter,
    parse_attributes,
    parse_overrides,
)
from report_gen.errors import StudyError, UsageError
from report_gen.outputs import OutputFormat, format_names, get_format
from report_gen.records import ViewPosition
from report_gen.terminal import Quiet, Verbose, print_error, print_json, print_notice, print_text, set_verbosity

if TYPE_CHECKING:
    from report_gen.drafting import Drafter
    from report_gen.records import Report, Study

_log = logging.getLogger(__name__)


def draft(
    context: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="DICOM, PNG, JPEG, TIFF or WebP files, or folders of studies.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for one file per study. Default: standard output.")
    ] = None,
    output_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join(format_names()),
            autocompletion=format_names,
            help="Text, or JSON with findings and provenance.",
        ),
    ] = "txt",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint folder. Default: the embedded chest X-ray model.")
    ] = None,
    indication: Annotated[str | None, typer.Option(help="Reason for the examination.")] = None,
    finding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=STATE",
            help="Override a finding of the model: present, absent, uncertain or unknown. May be repeated.",
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Override modality, plane or body_part; VALUE may be `unknown`."),
    ] = None,
    view: Annotated[
        ViewPosition | None,
        typer.Option(case_sensitive=False, help="View of images whose files do not specify one, such as PNG."),
    ] = None,
    as_study: Annotated[
        bool,
        typer.Option(
            "--as-study",
            help="Join the PNG, JPEG, TIFF and WebP images of each folder, or of the command line, into one study. "
            "DICOM files are grouped by StudyInstanceUID.",
        ),
    ] = False,
    attention: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Draw one study: its image, the attention of each finding, and the draft."
        ),
    ] = None,
    show_preprocessing: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            help="Draw the images of one study after each preprocessing step, as the model gets them.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Draft studies outside the scope of the model as well, with a notice.")
    ] = False,
    method: Method = "beam",
    candidates: Candidates = 8,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1,
            help="Studies that the decoder processes together; with more than 1, rounding depends on the others.",
        ),
    ] = 1,
    device: Device = "auto",
    dtype: Dtype = "auto",
    limit_memory: LimitMemory = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Draft a report of every study."""
    set_verbosity(verbose=verbose, quiet=quiet)
    drawings = {"--attention": attention, "--show-preprocessing": show_preprocessing}
    for option, path in drawings.items():
        check_png_name(path, option)
    chosen_format = get_format(output_format)
    check_device(device)
    context.with_resource(image_memory_limit(limit_memory))
    overrides, attributes = parse_overrides(finding or ()), parse_attributes(attribute or ())
    studies, refused = _read_all(paths, view, as_study=as_study)
    if studies:
        studies, outside = _split_by_scope(studies, checkpoint, force=force)
        refused += outside
    for option, path in drawings.items():
        if path and len(studies) > 1:
            raise UsageError(f"{option} draws one study, and there are {len(studies)}; draft them one by one")
    if studies:  # the model takes seconds to load, so it is loaded only if there is something to draft
        drafter = load_drafter(checkpoint, device=device, dtype=dtype)
        results = drafter.draft_all(
            studies,
            decoding=choose_decoding(method, candidates, seed),
            overrides=overrides,
            attributes=attributes,
            indication=indication,
            batch_size=batch_size,
            force=force,
        )
        refused += _write_all(
            studies, results, output, chosen_format, drafter, attention=attention, preprocessing=show_preprocessing
        )
    for error in refused:
        print_error(str(error))
    if refused:
        raise typer.Exit(StudyError.exit_code)


def _read_all(
    paths: Iterable[Path], view: ViewPosition | None, *, as_study: bool
) -> tuple[list[Study], list[StudyError]]:
    """Read every study at the paths; also return the errors of studies that cannot be read."""
    from report_gen.imaging import read_studies

    found = read_studies(*paths, as_study=as_study)
    for notice in found.notices:
        print_notice(notice)
    studies, refused = list(found.studies), list(found.refused)
    _log.info("studies read: %d, refused: %d", len(studies), len(refused))
    if view is not None:
        studies = [study.with_view(view) for study in studies]
    return studies, refused


def _split_by_scope(
    studies: Iterable[Study], checkpoint: Path | None, *, force: bool
) -> tuple[list[Study], list[StudyError]]:
    """Return the studies that the model may draft by their headers, and the errors of the others.

    The drafter decides the same once more. It is decided here first because a model takes seconds to load.
    """
    from report_gen.imaging.scope import apply_scope
    from report_gen.model import read_config

    scope = read_config(checkpoint).scope
    kept: list[Study] = []
    refused: list[StudyError] = []
    for study in studies:
        try:
            apply_scope(study, scope, force=force)
        except StudyError as error:
            refused.append(error)
        else:
            kept.append(study)
    return kept, refused


def _write_all(
    studies: Sequence[Study],
    results: Iterable[Report | StudyError],
    output: Path | None,
    output_format: OutputFormat,
    drafter: Drafter,
    *,
    attention: Path | None,
    preprocessing: Path | None,
) -> list[StudyError]:
    """Write each draft as soon as it is there, and draw what the user asked for.

    Returns:
        The errors of studies that cannot be drafted.
    """
    from report_gen.files import file_names
    from report_gen.terminal import track

    refused = []
    names = file_names((study.name for study in studies), suffix=output_format.suffix, folder=output)
    tracked = track(results, total=len(studies), description="drafting")
    for study, name, result in zip(studies, names, tracked, strict=True):
        if isinstance(result, StudyError):
            refused.append(result)
            continue
        _write_draft(result, study, name, output, output_format, alone=len(studies) == 1)
        if attention:
            _draw_attention(drafter, study, result, attention)
        if preprocessing:
            _draw_preprocessing(drafter, study, preprocessing)
    return refused


def _write_draft(
    report: Report, study: Study, name: str, output: Path | None, output_format: OutputFormat, *, alone: bool
) -> None:
    """Write a draft to its file in the output folder, or to standard output."""
    from report_gen.files import write_atomically

    document = output_format.render(report, study)
    if output is not None:
        write_atomically(output / f"{name}{output_format.suffix}", document)
    elif not output_format.is_text:
        raise UsageError(f"--format {output_format.name} cannot be printed; choose a folder with --output")
    elif output_format.media_type == "application/json":
        print_json(document.decode().rstrip("\n"))
    elif output_format.media_type != "text/plain" or alone:
        print_text(document.decode().rstrip("\n"))
    else:
        print_text(f"=== {name} ===\n{document.decode()}")


def _draw_attention(drafter: Drafter, study: Study, report: Report, path: Path) -> None:
    from report_gen.files import write_atomically
    from report_gen.outputs.overlay import format_overlay  # imports matplotlib, which takes a second

    write_atomically(path, format_overlay(report, drafter.attention_map(study)))


def _draw_preprocessing(drafter: Drafter, study: Study, path: Path) -> None:
    from report_gen.files import write_atomically
    from report_gen.outputs.preprocessing_figure import format_preprocessing  # imports matplotlib as well

    write_atomically(path, format_preprocessing(drafter.preprocessing_stages(study)))
