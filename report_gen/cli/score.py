"""The door of scoring: `report-gen score`. Heavy imports stay inside the handler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

SCORE_FAILS = 6
"""Exit code of a strict run that collapsed, or that does not beat one constant report."""


def score(
    predictions: Annotated[Path, typer.Argument(help="Drafts: JSONL, CSV, or plain text lines.")],
    references: Annotated[Path, typer.Argument(help="Reports: the same formats, or an annotation.json.")],
    preset: Annotated[str, typer.Option(help="r2gen-iu, r2gen-mimic, raw, or a TOML file.")] = "raw",
    train: Annotated[Path | None, typer.Option(help="Training reports, for vocabulary and baselines.")] = None,
    id_column: Annotated[str | None, typer.Option(help="Column that joins the two files.")] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Score what both files have.")] = False,
    compare: Annotated[Path | None, typer.Option(help="Drafts of another system for the same studies.")] = None,
    other_seed: Annotated[
        list[Path] | None, typer.Option(help="Drafts of the same model from another training seed; may be repeated.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything here, for programs.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row per report here.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 6 when collapsed or below the constant.")] = False,
    bootstrap: Annotated[int, typer.Option(help="Resamplings for the intervals; 0 for none.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    features: Annotated[Path | None, typer.Option(help="Image features (.npz), for the image 1-NN baseline.")] = None,
    no_java: Annotated[bool, typer.Option("--no-java", help="Leave METEOR 1.5 out even where Java is.")] = False,
    bertscore: Annotated[Path | None, typer.Option(help="Folder of weights, for BERTScore.")] = None,
    chexbert: Annotated[Path | None, typer.Option(help="Folder of weights, for CheXbert.")] = None,
    radgraph: Annotated[Path | None, typer.Option(help="Folder of weights, for RadGraph.")] = None,
    findings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Findings file (TOML); the findings of the chest without it.")
    ] = None,
) -> None:
    """Score drafts against reports, with intervals, baselines and verdicts."""
    from report_gen.labeling.schema_files import chest_xray, load_schema
    from report_gen.metrics import ScoreOptions, render_table, run_score, write_csv, write_html, write_json

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
            schema=chest_xray() if findings is None else load_schema(findings),
            optional={name: folder for name, folder in folders.items() if folder is not None},
        )
    )
    Console().print(render_table(run))
    for path, write in ((json, write_json), (html, write_html), (csv, write_csv)):
        if path is not None:
            write(run, path)
    if strict and run.fails:
        raise typer.Exit(SCORE_FAILS)
