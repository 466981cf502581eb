"""`report-gen evaluate`: measure one or more models on a corpus, with and without its images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from report_gen.cli.evaluation_input import CorpusChoice
from report_gen.cli.model_options import (
    EMBEDDED,
    AllowRemote,
    Base,
    Candidates,
    Device,
    Dtype,
    Method,
    check_device,
    choose_decoding,
    load_drafter,
)
from report_gen.cli.options import (
    MAX_BOOTSTRAP,
    MAX_SEED,
    Columns,
    Layout,
    NoJava,
    Preset,
    check_outputs,
    check_png_name,
    load_findings,
)
from report_gen.errors import StudyError, UsageError
from report_gen.terminal import Quiet, Verbose, print_errors, print_table, set_verbosity, track

if TYPE_CHECKING:
    from report_gen.drafting import Drafter
    from report_gen.evaluation import Evaluation, Row
    from report_gen.generation import DecodingChoice
    from report_gen.metrics import ScoreMethod
    from report_gen.records import FindingSchema

T = TypeVar("T")


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="`embedded`, a checkpoint folder, a description of another model, or `hf:NAME`; see draft --help. "
            "Several models are compared.",
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
    html: Annotated[
        Path | None, typer.Option(help="Write a page with charts to this file; with one model, needs reports.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write one row per report and model to this file; needs reports.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Draw the calibration of the finding probabilities of one model; needs labels."
        ),
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
            metavar="FILE",
            help="TOML file with findings and their phrases. Default: the findings of the (first) model.",
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score models on a corpus. Drafts from own, shuffled and blank images are compared.

    Several models are loaded one after the other, and the memory of each is freed before the next one. They are
    compared on the studies that all of them draft. The files are written after each model. A model that fails is left
    out.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    check_png_name(calibration, "--calibration")
    check_device(device)
    check_outputs(json, html, csv, calibration)
    from report_gen.metrics import ScoreMethod

    is_single = len(models) == 1
    choice = CorpusChoice(
        path=corpus,
        layout=layout,
        columns=columns,
        split=split,
        source=source,
        label_reports=label_reports,
        nearest=nearest,
        report_options=_report_options(html, csv, is_single=is_single),
    )
    schema = None if findings is None else load_findings(findings)
    scoring = ScoreMethod(preset=preset, draws=bootstrap, seed=seed, java=not no_java)
    decoding = choose_decoding(method, candidates, seed)
    if is_single:
        name = None if models[0] == EMBEDDED else models[0]
        drafter = load_drafter(name, base=base, device=device, dtype=dtype, allow_remote=allow_remote)
        scoring = replace(scoring, schema=schema or drafter.schema)
        _evaluate_one(drafter, choice, decoding, scoring, json=json, html=html, csv=csv, calibration=calibration)
    else:
        from report_gen.cli.evaluate_models import ComparisonFiles, evaluate_models, find_models

        if calibration:
            raise UsageError("--calibration draws the probabilities of one model; leave it out, or name one model")
        loaders = find_models(models, base=base, device=device, dtype=dtype, allow_remote=allow_remote)
        files = ComparisonFiles(json=json, html=html, csv=csv)
        evaluate_models(loaders, choice, schema=schema, decoding=decoding, method=scoring, files=files)


def _report_options(html: Path | None, csv: Path | None, *, is_single: bool) -> tuple[str, ...]:
    """Return the options that need reports. The page of several models also shows scores against labels."""
    if is_single:
        return ("--html", "--csv") if html or csv else ()
    return ("--csv",) if csv else ()


def _evaluate_one(
    drafter: Drafter,
    choice: CorpusChoice,
    decoding: DecodingChoice,
    method: ScoreMethod,
    *,
    json: Path | None,
    html: Path | None,
    csv: Path | None,
    calibration: Path | None,
) -> None:
    """Evaluate one model, write the files and print its scores. Raises typer.Exit if studies were refused."""
    from report_gen import evaluation

    with TemporaryDirectory(prefix="report-gen-") as store:
        corpus = choice.read(method.schema, Path(store))
        if calibration:
            _check_labels(drafter, corpus.rows, method.schema)
        result = evaluation.evaluate(
            drafter,
            corpus.rows,
            decoding=decoding.apply(drafter.info.decoding),
            method=method,
            training=corpus.training,
            nearest=corpus.nearest,
            boxes=corpus.boxes,
            nih_labels=corpus.nih_labels,
            track=_track_images,
        )
    _write_results(result, json=json, html=html, csv=csv, calibration=calibration)
    errors = (*result.refused, *result.without_draft)
    print_errors(errors)
    if errors:
        raise typer.Exit(StudyError.exit_code)


def _check_labels(drafter: Drafter, rows: Sequence[Row], schema: FindingSchema) -> None:
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
