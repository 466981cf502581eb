"""`report-gen draft`: draft a report of every study."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from report_gen.cli.document_options import (
    Accession,
    BasicTextSr,
    FhirVersion,
    Formats,
    Overwrite,
    Paper,
    PatientId,
    Revises,
    check_document_options,
    choose_formats,
    parse_document_options,
)
from report_gen.cli.draft_batch import BatchResult, DraftBatch, DraftRequirements, draft_batch
from report_gen.cli.draft_input import read_input, unpacked
from report_gen.cli.draft_models import check_model_options, choose_models_of, choose_sources, read_scopes
from report_gen.cli.drawing_options import Attention, ShowPreprocessing, check_drawings, check_output_options
from report_gen.cli.many_studies import Engine, ShardOption, Workers, check_engine, parse_shard, worker_memory
from report_gen.cli.missing_paths import report_missing_paths
from report_gen.cli.model_options import (
    AllowRemote,
    Base,
    Candidates,
    Checkpoint,
    Device,
    Dtype,
    Method,
    check_device,
    choose_decoding,
)
from report_gen.cli.options import (
    MAX_BATCH,
    MAX_SEED,
    LimitMemory,
    image_memory_limit,
    parse_attributes,
    parse_overrides,
)
from report_gen.cli.prior_input import Prior, PriorDays, PriorOptions, PriorReport, parse_prior_options, read_priors
from report_gen.records import ViewPosition
from report_gen.terminal import Quiet, Verbose, print_errors, print_notice, set_verbosity, stop_on_signals

if TYPE_CHECKING:
    from report_gen.imaging import Shard

_COMPLETE = "every file that was written is complete"


def draft(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            readable=False,  # not checked by typer, which would refuse the other studies as well
            help="DICOM, NIfTI, PNG, JPEG, TIFF or WebP files, folders of studies, or ZIP archives of them.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder for one file per study and format, such as FOLDER/chest.pdf for chest.dcm; not the name of a "
            "file. Default: standard output.",
        ),
    ] = None,
    formats: Formats = None,
    checkpoint: Checkpoint = None,
    base: Base = None,
    allow_remote: AllowRemote = False,
    indication: Annotated[str | None, typer.Option(help="Reason for the examination.")] = None,
    technique: Annotated[str | None, typer.Option(help="How the images were acquired.")] = None,
    prior: Prior = None,
    prior_report: PriorReport = None,
    prior_days: PriorDays = None,
    comparison: Annotated[
        str | None, typer.Option(help="Text of the section COMPARISON. Default: names the prior study.")
    ] = None,
    finding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=STATE",
            help="Override a finding of the model: present, absent, uncertain or unknown. May be repeated. "
            "`present:left lower` also sets its side (right, left, both, unknown) and zones (upper, mid, lower).",
        ),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Override modality, plane or body_part; VALUE may be `unknown`. The windows of slices follow from "
            "modality and body_part, for example those of NIfTI files, which state neither. May be repeated.",
        ),
    ] = None,
    view: Annotated[
        ViewPosition | None,
        typer.Option(case_sensitive=False, help="View of images whose files do not specify one, such as PNG."),
    ] = None,
    as_study: Annotated[
        bool,
        typer.Option(
            "--as-study",
            help="Join the images of each folder, or of the command line, that are not DICOM into one study. "
            "DICOM files are grouped by StudyInstanceUID.",
        ),
    ] = False,
    attention: Attention = None,
    show_preprocessing: ShowPreprocessing = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a stopped batch: skip the files whose draft from the same images, options, program and "
            "checkpoint is in the folder. Drafts that were edited are kept.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    revises: Revises = None,
    patient_id: PatientId = None,
    accession: Accession = None,
    paper: Paper = "A4",
    basic_text_sr: BasicTextSr = False,
    fhir_version: FhirVersion = "R4B",
    force: Annotated[
        bool, typer.Option("--force", help="Draft studies outside the scope of the model as well, with a notice.")
    ] = False,
    method: Method = None,
    candidates: Candidates = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the sampling.")] = 0,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_BATCH,
            help="Studies that the decoder processes together. Above 1 is faster, but a draft may then depend on the "
            "other studies through rounding.",
        ),
    ] = 1,
    workers: Workers = 0,
    shard: ShardOption = None,
    engine: Engine = "local",
    max_views: Annotated[
        int | None,
        typer.Option(
            min=1, help="Largest number of images of a study. Default: the limit of the checkpoint, usually 16."
        ),
    ] = None,
    timeout: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Time that the draft of one study may take; 0 for no limit. A study that takes longer is refused.",
        ),
    ] = 300,
    device: Device = "auto",
    dtype: Dtype = "auto",
    limit_memory: LimitMemory = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Draft a report of every study."""
    set_verbosity(verbose=verbose, quiet=quiet)
    drawings = {"--attention": attention, "--show-preprocessing": show_preprocessing}
    check_output_options(drawings, output, formats or (), resume=resume)
    prior_options = parse_prior_options(prior or (), prior_report, prior_days)
    chosen_formats = choose_formats(formats, output, revises, resume=resume, overwrite=overwrite)
    documents = parse_document_options(
        patient_id=patient_id,
        accession=accession,
        paper=paper,
        basic_text_sr=basic_text_sr,
        fhir_version=fhir_version,
    )
    check_device(device)
    context.with_resource(image_memory_limit(limit_memory))
    chosen_shard = parse_shard(shard)
    check_engine(engine, output, {**drawings, "--revises": revises, "--overwrite": overwrite})
    overrides, locations = parse_overrides(finding or ())
    report_missing_paths(paths, sys.argv[1:])
    drafts = DraftRequirements(
        overrides=overrides,
        locations=locations,
        attributes=parse_attributes(attribute or ()),
        indication=indication,
        technique=technique,
        comparison=comparison,
        force=force,
        decoding=choose_decoding(method, candidates, seed),
    )
    sources = check_model_options(overrides, locations, drafts.attributes, choose_sources(checkpoint))
    batch = DraftBatch(
        sources=sources,
        base=base,
        allow_remote=allow_remote,
        device=device,
        dtype=dtype,
        drafts=drafts,
        batch_size=batch_size,
        max_views=max_views,
        timeout=timeout,
        formats=chosen_formats,
        documents=documents,
        output=output,
        resume=resume,
        overwrite=overwrite,
        revises=revises,
        attention=attention,
        preprocessing=show_preprocessing,
        workers=workers,
        engine=engine,
        image_memory=worker_memory(limit_memory, workers),
    )
    _draft_paths(batch, paths, prior_options, view, chosen_shard, as_study=as_study, checkpoint=checkpoint)


def _draft_paths(
    batch: DraftBatch,
    paths: Sequence[Path],
    prior: PriorOptions,
    view: ViewPosition | None,
    shard: Shard | None,
    *,
    as_study: bool,
    checkpoint: str | None,
) -> None:
    """Read and draft the studies at the paths, and print what was refused."""
    hint = _COMPLETE if batch.output is None else f"{_COMPLETE}; --resume drafts the remaining studies"
    with (
        stop_on_signals(hint) as check_stop,
        unpacked(paths) as archives,
        unpacked(prior.paths) as prior_archives,
    ):
        # A prior study may be in another shard.
        found, unread = read_input(
            archives,
            view,
            as_study=as_study,
            shard=None if prior.is_auto else shard,
            attributes=batch.drafts.attributes,
        )
        studies = [study for study in found if shard is None or shard.contains_study(study)]
        elsewhere = [study for study in found if shard is not None and not shard.contains_study(study)]
        if shard is not None:
            print_notice(f"studies of shard {shard}: {len(studies)}")
        if studies:
            scopes = read_scopes(batch.sources)
            choose = partial(
                choose_models_of,
                scopes=scopes,
                force=batch.drafts.force,
                max_views=batch.max_views,
                checkpoint=checkpoint,
            )
            models, outside = choose(studies)
            others, _ = choose(elsewhere)
            studies = list(models)
            unread += outside
        check_drawings(batch.drawings, len(studies))
        check_document_options(batch.documents, batch.revises, studies, refused=len(unread))
        result = BatchResult()
        if studies:
            priors = read_priors(studies, list(others), prior, prior_archives, view, as_study=as_study)
            result = draft_batch(batch, models, scopes, priors, check_stop)
        result.refused[:0] = [[error] for error in unread]
    errors = list(result.errors())
    print_errors(errors, [*archives.archives.items(), *prior_archives.archives.items()])
    if batch.output is not None:
        print_notice(result.summary(batch.output))
    if errors:
        raise typer.Exit(max(error.exit_code for error in errors))
