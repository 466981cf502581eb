"""The doors: parse, call, print, exit code. Heavy imports stay inside the handlers, so that --help answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from report_gen.cli import corpus as corpus_commands
from report_gen.cli.options import check_picture, parse_attributes, parse_overrides
from report_gen.cli.score import score
from report_gen.errors import ReportGenError, StudyError, UsageError

if TYPE_CHECKING:
    from report_gen.drafting.drafter import Drafter
    from report_gen.records.report import Report
    from report_gen.records.study import Study

STUDY_REFUSED, INTERRUPTED = 3, 130
"""Exit codes of runs that end without an error; those of errors stand in `errors.py`."""

app = typer.Typer(
    help="Drafts radiology reports from medical images. Every output is a draft for a qualified reader.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(corpus_commands.app, name="corpus")


@app.command()
def draft(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="DICOM, PNG, JPEG or TIFF files, or folders of studies.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for one file per study; standard output without it.")
    ] = None,
    kind: Annotated[
        Literal["txt", "json"], typer.Option("--format", help="Text, or JSON with findings and provenance.")
    ] = "txt",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Checkpoint folder; the embedded chest X-ray model without it.")
    ] = None,
    indication: Annotated[str | None, typer.Option(help="Why the study was asked for.")] = None,
    finding: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=STATE", help="Overrule a finding: present, absent, uncertain or unknown."),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Set modality, plane or body_part over header and image, or unknown."),
    ] = None,
    attention: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the image of one study, where the findings lie, and the draft."),
    ] = None,
    method: Annotated[Literal["greedy", "beam", "sample"], typer.Option(help="How the text is chosen.")] = "beam",
    candidates: Annotated[
        int, typer.Option(min=1, max=64, help="Texts a study to choose the one from that says its findings.")
    ] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Studies that go through the model together.")] = 8,
) -> None:
    """Draft a report of every study."""
    from report_gen.drafting.drafter import Drafter
    from report_gen.generation import DEFAULT_DECODING
    from report_gen.terminal import track

    check_picture(attention, "--attention")
    overrides, attributes = parse_overrides(finding or ()), parse_attributes(attribute or ())
    decoding = replace(DEFAULT_DECODING, method=method, candidates=candidates, seed=seed)
    drafter = Drafter.load(checkpoint)
    studies, refused = _read_all(paths)
    if attention and len(studies) > 1:
        raise UsageError(f"--attention draws one study, and there are {len(studies)}; draft them one by one")
    reports = drafter.draft_all(
        studies,
        decoding=decoding,
        overrides=overrides,
        attributes=attributes,
        indication=indication,
        batch_size=batch_size,
    )
    names = _file_names(studies)
    for study, name, result in zip(
        studies, names, track(reports, total=len(studies), description="drafting"), strict=True
    ):
        if isinstance(result, StudyError):
            refused.append(result)
        else:
            _deliver(result, study, name, output, kind, alone=len(studies) == 1)
            if attention:
                _draw_attention(drafter, study, result, attention)
    for error in refused:
        _complain(str(error))
    if refused:
        raise typer.Exit(STUDY_REFUSED)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the phantom and its draft.")] = Path(
        "report-gen-demo"
    ),
) -> None:
    """Draw a chest phantom, write it as a DICOM study, and draft its report. Needs no file."""
    from report_gen.drafting.drafter import Drafter
    from report_gen.files import write_atomically
    from report_gen.imaging.reading import read_study
    from report_gen.outputs.text import format_text
    from report_gen.phantom.dicom import draw_chest, write_phantom, write_png

    dicom = write_phantom(output)
    picture = write_png(output / "phantom.png", draw_chest())
    report = Drafter.load().draft(read_study(dicom))
    text = format_text(report)
    write_atomically(output / "draft.txt", text)
    _print(f"picture: {picture}\nstudy:   {dicom}\ndraft:   {output / 'draft.txt'}\n\n{text}")


app.command()(score)


@app.command()
def evaluate(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder; `embedded` for the one that comes with it.")],
    corpus: Annotated[Path, typer.Argument(help="Corpus with images and finding labels, reports, or both.")],
    layout: Annotated[str | None, typer.Option(help="Layout of the corpus; found by looking without it.")] = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "test",
    preset: Annotated[str, typer.Option(help="As for score.")] = "raw",
    json: Annotated[Path | None, typer.Option(help="Write figures and drafts here, for programs.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here; needs reports.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row per report here; needs reports.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw how far the findings' probabilities hold; needs labels."),
    ] = None,
    method: Annotated[Literal["greedy", "beam", "sample"], typer.Option(help="As for draft.")] = "beam",
    candidates: Annotated[int, typer.Option(min=1, max=64, help="As for draft.")] = 8,
    bootstrap: Annotated[int, typer.Option(min=100, help="Resamplings for intervals and tests.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of shuffling, sampling and bootstrap.")] = 0,
    no_java: Annotated[bool, typer.Option("--no-java", help="As for score.")] = False,
    findings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Findings file (TOML); the findings of the model without it.")
    ] = None,
    nearest: Annotated[bool, typer.Option(help="The image 1-NN baseline; looks at all training images.")] = True,
) -> None:
    """Draft a corpus from its own, from shuffled and from blank images; hold all against its labels and reports."""
    from report_gen.corpora import read_corpus, read_nih_labels
    from report_gen.drafting.drafter import Drafter
    from report_gen.evaluation import runner as evaluating
    from report_gen.evaluation.finding_head import can_score_finding_head
    from report_gen.evaluation.results import render, write_calibration, write_json
    from report_gen.generation import DEFAULT_DECODING
    from report_gen.labeling.schema_files import load_schema
    from report_gen.metrics import ScoreMethod, write_csv, write_html
    from report_gen.terminal import track

    check_picture(calibration, "--calibration")
    with TemporaryDirectory(prefix="report-gen-") as store:
        drafter = Drafter.load(None if str(checkpoint) == "embedded" else checkpoint)
        schema = drafter.schema if findings is None else load_schema(findings)
        studies = list(read_corpus(corpus, layout=layout, store=Path(store), schema=schema))
        rows = evaluating.select_studies(studies, split)
        if (html or csv) and not any(map(evaluating.has_report, rows)):
            raise UsageError("--html and --csv show reports, and none of these studies has findings; use --json")
        if calibration and not can_score_finding_head(drafter.reported, rows, schema):
            raise UsageError("--calibration needs labels of findings that the model was taught, and no study has any")
        result = evaluating.evaluate(
            drafter,
            rows,
            decoding=replace(DEFAULT_DECODING, method=method, candidates=candidates, seed=seed),
            method=ScoreMethod(preset=preset, draws=bootstrap, seed=seed, java=not no_java, schema=schema),
            training=evaluating.training_reports(studies, rows),
            nearest=evaluating.neighbours(studies, rows) if nearest else (),
            nih_labels=read_nih_labels(corpus, layout=layout),
            track=lambda items, total, what: track(items, total=total, description=f"looking at {what}"),
        )
    Console().print(render(result))
    if json:
        write_json(result, json)
    if calibration and result.head:
        write_calibration(result.head, calibration)
    for path, write in ((html, write_html), (csv, write_csv)):
        if path and result.run:
            write(result.run, path)
    for error in result.refused:
        _complain(str(error))
    if result.refused:
        raise typer.Exit(STUDY_REFUSED)


def main() -> None:
    """The console script."""
    for command in entry_points(group="report_gen.commands"):
        app.command(command.name)(command.load())
    run_app(app)


def run_app(application: Callable[[], object]) -> None:
    """Run a command line; errors become one sentence and an exit code, as the README lists them."""
    # Nothing here speaks to a hub unless a recipe names one, and nothing ever reports on its users.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        application()
    except ReportGenError as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # which is all that typer makes of a KeyboardInterrupt
            _complain("interrupted; what was written is whole")
        raise


def _read_all(paths: Iterable[Path]) -> tuple[list[Study], list[StudyError]]:
    from report_gen.imaging.reading import read_studies

    studies: list[Study] = []
    refused: list[StudyError] = []
    for path in paths:
        try:
            found = read_studies(path)
        except StudyError as error:
            refused.append(error)
        else:
            studies += found.studies
            refused += found.refused
    return studies, refused


def _file_names(studies: Sequence[Study]) -> list[str]:
    """A name for every study's file, its own even where case does not count; of equal names the later are numbered."""
    names: dict[str, str] = {}
    for study in studies:
        name, number = study.name, 1
        while name.casefold() in names:
            number += 1
            name = f"{study.name}-{number}"
        names[name.casefold()] = name
    return list(names.values())


def _deliver(
    report: Report, study: Study, name: str, output: Path | None, kind: Literal["txt", "json"], *, alone: bool
) -> None:
    """One file in the folder, or the draft on standard output."""
    from report_gen.files import write_atomically
    from report_gen.outputs.json import format_json
    from report_gen.outputs.text import format_text

    document = format_json(report) if kind == "json" else format_text(report)
    if output is not None:
        write_atomically(output / f"{name}.{kind}", document)
    elif kind == "json" or alone:
        _print(document.rstrip("\n"))
    else:
        _print(f"=== {name} ===\n{document}")


def _draw_attention(drafter: Drafter, study: Study, report: Report, path: Path) -> None:
    from report_gen.files import write_atomically
    from report_gen.outputs.overlay import format_overlay  # draws with matplotlib, for which others need not wait

    write_atomically(path, format_overlay(report, drafter.attention_map(study)))


def _print(text: str) -> None:
    """To standard output as it is: no markup, no wrapping."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"report-gen: {message}")
