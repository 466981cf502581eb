"""`report-gen evaluate`: measure a checkpoint on a corpus, with and without its images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from report_gen.cli.options import (
    Candidates,
    Device,
    Dtype,
    Layout,
    Method,
    NoJava,
    Preset,
    check_device,
    check_png_name,
    choose_decoding,
    load_drafter,
    load_findings,
)
from report_gen.errors import StudyError, UsageError
from report_gen.terminal import Quiet, Verbose, print_error, print_table, set_verbosity, track

if TYPE_CHECKING:
    from report_gen.drafting.drafter import Drafter
    from report_gen.evaluation.results import Evaluation
    from report_gen.evaluation.runner import Row
    from report_gen.records.findings import FindingSchema

T = TypeVar("T")

EMBEDDED = "embedded"
"""Name of the checkpoint that comes with the package."""


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, or `embedded` for the embedded model.")],
    corpus: Annotated[Path, typer.Argument(help="Corpus with images, and with finding labels, reports or both.")],
    layout: Layout = None,
    split: Annotated[str, typer.Option(help="Split to draft: train, val, test or all.")] = "test",
    preset: Preset = "raw",
    json: Annotated[Path | None, typer.Option(help="Write scores and drafts to this JSON file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts to this file; needs reports.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one row per report to this file; needs reports.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the calibration of the finding probabilities; needs labels."),
    ] = None,
    method: Method = "beam",
    candidates: Candidates = 8,
    bootstrap: Annotated[int, typer.Option(min=100, help="Bootstrap samples for intervals and tests.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of shuffling, sampling and bootstrap.")] = 0,
    no_java: NoJava = False,
    nearest: Annotated[bool, typer.Option(help="Image 1-NN baseline; encodes every training image.")] = True,
    findings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of findings and phrases. Default: those of the checkpoint."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Draft a corpus from its own, shuffled and blank images, and score all three against labels and reports."""
    set_verbosity(verbose=verbose, quiet=quiet)
    check_png_name(calibration, "--calibration")
    check_device(device)
    from report_gen.corpora import read_corpus, read_nih_labels
    from report_gen.evaluation import runner
    from report_gen.metrics import ScoreMethod

    with TemporaryDirectory(prefix="report-gen-") as store:
        drafter = load_drafter(None if str(checkpoint) == EMBEDDED else checkpoint, device=device, dtype=dtype)
        schema = drafter.schema if findings is None else load_findings(findings)
        studies = list(read_corpus(corpus, layout=layout, store=Path(store), schema=schema))
        rows = runner.select_studies(studies, split)
        if (html or csv) and not any(map(runner.has_report, rows)):
            raise UsageError("--html and --csv show reports, and none of these studies has findings; use --json")
        if calibration:
            _check_labels(drafter, rows, schema)
        result = runner.evaluate(
            drafter,
            rows,
            decoding=choose_decoding(method, candidates, seed),
            method=ScoreMethod(preset=preset, draws=bootstrap, seed=seed, java=not no_java, schema=schema),
            training=runner.training_reports(studies, rows),
            nearest=runner.neighbours(studies, rows) if nearest else (),
            nih_labels=read_nih_labels(corpus, layout=layout),
            track=_track_images,
        )
    _write_results(result, json=json, html=html, csv=csv, calibration=calibration)
    for error in result.refused:
        print_error(str(error))
    if result.refused:
        raise typer.Exit(StudyError.exit_code)


def _check_labels(drafter: Drafter, rows: list[Row], schema: FindingSchema) -> None:
    from report_gen.evaluation.finding_head import can_score_finding_head

    if not can_score_finding_head(drafter.reported, rows, schema):
        raise UsageError(
            "--calibration needs labels of findings that the model was trained on, and no study has any; leave it out"
        )


def _track_images(items: Iterable[T], total: int, images: str) -> Iterable[T]:
    return track(items, total=total, description=f"evaluating {images}")


def _write_results(
    result: Evaluation, *, json: Path | None, html: Path | None, csv: Path | None, calibration: Path | None
) -> None:
    from report_gen.evaluation.results import render, write_calibration, write_json
    from report_gen.metrics import write_csv, write_html

    print_table(render(result))
    if json:
        write_json(result, json)
    if calibration and result.head:
        write_calibration(result.head, calibration)
    for path, write in ((html, write_html), (csv, write_csv)):
        if path and result.run:
            write(result.run, path)
