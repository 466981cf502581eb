"""`report-gen evaluate`: measure a checkpoint on a corpus, with and without its images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from report_gen.cli.options import (
    MAX_BOOTSTRAP,
    MAX_SEED,
    AllowRemote,
    Base,
    Candidates,
    Columns,
    Device,
    Dtype,
    Layout,
    Method,
    NoJava,
    Preset,
    check_device,
    check_outputs,
    check_png_name,
    choose_decoding,
    load_drafter,
    load_findings,
    parse_columns,
)
from report_gen.errors import StudyError, UsageError
from report_gen.terminal import Quiet, Verbose, print_errors, print_table, set_verbosity, track

if TYPE_CHECKING:
    from report_gen.drafting import Drafter
    from report_gen.evaluation import Evaluation, Row
    from report_gen.records import FindingSchema

T = TypeVar("T")

EMBEDDED = "embedded"
"""Name of the checkpoint in the package."""


def evaluate(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="`embedded`, a checkpoint folder, a description of another model, or `hf:NAME`; see draft --help.",
        ),
    ],
    corpus: Annotated[
        Path,
        typer.Argument(
            metavar="CORPUS", readable=False, help="Corpus with images, and with finding labels, reports or both."
        ),
    ],
    base: Base = None,
    allow_remote: AllowRemote = False,
    layout: Layout = None,
    columns: Columns = None,
    split: Annotated[str, typer.Option(help="Split to draft: train, val, test or all.")] = "test",
    source: Annotated[
        str, typer.Option(help="Source of the studies to draft, for a corpus with a column `source`. Default: all.")
    ] = "",
    preset: Preset = "raw",
    json: Annotated[Path | None, typer.Option(help="Write scores and drafts to this JSON file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts to this file; needs reports.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row per report to this file; needs reports.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the calibration of the finding probabilities; needs labels."),
    ] = None,
    label_reports: Annotated[
        bool,
        typer.Option(
            "--label-reports",
            help="Label studies that the corpus does not label from their reports; findings that a report does not "
            "mention count as absent.",
        ),
    ] = False,
    method: Method = None,
    candidates: Candidates = None,
    bootstrap: Annotated[
        int, typer.Option(min=100, max=MAX_BOOTSTRAP, help="Bootstrap samples for intervals and tests.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of shuffling, sampling and bootstrap.")] = 0,
    no_java: NoJava = False,
    nearest: Annotated[
        bool, typer.Option(help="Compute the image 1-NN baseline, which encodes every training image.")
    ] = True,
    findings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="TOML file with findings and their phrases. Default: the findings of the checkpoint."
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score a checkpoint on a corpus. Drafts from own, shuffled and blank images are compared."""
    set_verbosity(verbose=verbose, quiet=quiet)
    check_png_name(calibration, "--calibration")
    check_device(device)
    check_outputs(json, html, csv, calibration)
    from report_gen import evaluation
    from report_gen.corpora import read_corpus, read_nih_labels
    from report_gen.metrics import ScoreMethod

    with TemporaryDirectory(prefix="report-gen-") as store:
        name = None if checkpoint == EMBEDDED else checkpoint
        drafter = load_drafter(name, base=base, device=device, dtype=dtype, allow_remote=allow_remote)
        schema = drafter.schema if findings is None else load_findings(findings)
        studies = list(
            read_corpus(
                corpus,
                layout=layout,
                require_images=None,  # a study with a missing image is refused like one with an unreadable image
                store=Path(store),
                schema=schema,
                columns=parse_columns(columns),
            )
        )
        rows = evaluation.select_studies(studies, split, source)
        if label_reports:
            rows = evaluation.label_reports(rows, schema)
        if (html or csv) and not any(map(evaluation.has_report, rows)):
            raise UsageError("--html and --csv show reports, and none of these studies has findings; use --json")
        if calibration:
            _check_labels(drafter, rows, schema)
        result = evaluation.evaluate(
            drafter,
            rows,
            decoding=choose_decoding(method, candidates, seed).apply(drafter.info.decoding),
            method=ScoreMethod(preset=preset, draws=bootstrap, seed=seed, java=not no_java, schema=schema),
            training=evaluation.training_reports(studies, rows),
            nearest=evaluation.nearest_candidates(studies, rows) if nearest and drafter.info.has_features else (),
            boxes=evaluation.training_boxes(studies, rows),
            nih_labels=read_nih_labels(corpus, layout=layout),
            track=_track_images,
        )
    _write_results(result, json=json, html=html, csv=csv, calibration=calibration)
    print_errors(result.refused)
    if result.refused:
        raise typer.Exit(StudyError.exit_code)


def _check_labels(drafter: Drafter, rows: list[Row], schema: FindingSchema) -> None:
    from report_gen.evaluation import can_score_finding_head

    if not can_score_finding_head(drafter.reported, rows, schema):
        raise UsageError(
            "--calibration needs labels of findings that the model was trained on, and no study has any; leave it out"
        )


def _track_images(items: Iterable[T], total: int, images: str) -> Iterable[T]:
    return track(items, total=total, description=f"evaluating {images}")


def _write_results(
    result: Evaluation, *, json: Path | None, html: Path | None, csv: Path | None, calibration: Path | None
) -> None:
    from report_gen.evaluation import render_evaluation, write_calibration, write_evaluation
    from report_gen.metrics import write_csv, write_html

    if json:
        write_evaluation(result, json)
    if calibration and result.finding_head:
        write_calibration(result.finding_head, calibration)
    for path, write in ((html, write_html), (csv, write_csv)):
        if path and result.reports:
            write(result.reports, path)
    print_table(render_evaluation(result))  # last, because a pipe may end the command here
