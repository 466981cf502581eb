"""`report-gen score`: score draft reports against reference reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from report_gen.cli.options import (
    MAX_BOOTSTRAP,
    MAX_SEED,
    STRICT_CHECK_FAILED,
    Findings,
    NoJava,
    Preset,
    check_outputs,
    load_findings,
)
from report_gen.terminal import Quiet, Verbose, print_table, set_verbosity


def score(
    predictions: Annotated[
        Path,
        typer.Argument(
            metavar="PREDICTIONS",
            readable=False,
            help="Drafts: CSV or JSONL with study_id and report, one text per line, or a folder of `draft -o` "
            "(JSON, TXT, FHIR, HL7 or DICOM SR).",
        ),
    ],
    references: Annotated[
        Path,
        typer.Argument(
            metavar="REFERENCES", readable=False, help="Reference reports: the same formats, or an annotation.json."
        ),
    ],
    preset: Preset = "raw",
    train: Annotated[Path | None, typer.Option(help="Training reports, for vocabulary and baselines.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that joins the two files.")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score only the studies that both files contain.")
    ] = False,
    compare: Annotated[Path | None, typer.Option(help="Drafts of another system for the same studies.")] = None,
    other_seed: Annotated[
        list[Path] | None,
        typer.Option(help="Drafts of the same model trained with another seed. May be repeated."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write all results to this JSON file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts to this file.")] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write one row per report to this file; formulas get a leading apostrophe."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with code 6 if the drafts collapsed or do not beat a constant report."),
    ] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=MAX_BOOTSTRAP, help="Bootstrap samples for the intervals; 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of bootstrap and baselines.")] = 0,
    features: Annotated[Path | None, typer.Option(help="Image features (.npz), for the image 1-NN baseline.")] = None,
    no_java: NoJava = False,
    bertscore: Annotated[Path | None, typer.Option(help="Folder of weights, for BERTScore.")] = None,
    chexbert: Annotated[Path | None, typer.Option(help="Folder of weights, for CheXbert.")] = None,
    radgraph: Annotated[Path | None, typer.Option(help="Folder of weights, for RadGraph.")] = None,
    findings: Findings = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Score drafts against reference reports. Scores have intervals, baselines and verdicts."""
    set_verbosity(verbose=verbose, quiet=quiet)
    check_outputs(json, html, csv)
    from report_gen.metrics import ScoreOptions, run_score

    folders = {"bertscore": bertscore, "chexbert": chexbert, "radgraph": radgraph}
    run = run_score(
        ScoreOptions(
            predictions=predictions,
            references=references,
            preset=preset,
            train=train,
            id_column=id_column,
            allow_missing=allow_missing,
            draws=bootstrap,
            seed=seed,
            compare=compare,
            other_seeds=tuple(other_seed or ()),
            features=features,
            java=not no_java,
            schema=load_findings(findings),
            optional={name: folder for name, folder in folders.items() if folder is not None},
        )
    )
    from report_gen.metrics import render_table, write_csv, write_html, write_json  # imports rich

    for path, write in ((json, write_json), (html, write_html), (csv, write_csv)):  # before a pipe may end the command
        if path is not None:
            write(run, path)
    print_table(render_table(run))
    if strict and run.fails:
        raise typer.Exit(STRICT_CHECK_FAILED)
