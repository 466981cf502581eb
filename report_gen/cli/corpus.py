"""`report-gen corpus check|split|convert|clean`: find faults of a corpus and write it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from report_gen.cli.corpus_help import COLUMNS_HELP, RECIPE_HELP
from report_gen.cli.corpus_source import CorpusSource
from report_gen.cli.options import MAX_SEED, STRICT_CHECK_FAILED, Columns, Findings, Layout, check_outputs
from report_gen.errors import UsageError
from report_gen.terminal import Quiet, Verbose, print_error, print_notice, print_table, print_text, set_verbosity

app = typer.Typer(
    help="Check, split, clean and convert a corpus before training.\n\n" + COLUMNS_HELP,
    epilog=RECIPE_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_Corpus = Annotated[
    Path, typer.Argument(metavar="PATH", readable=False, help="Corpus: a file or folder in a known layout.")
]
_Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for the new manifest.jsonl; it must not contain one.")
]
_NoImages = Annotated[bool, typer.Option("--no-images", help="Do not open images, nor check that they exist.")]
_SkipMissing = Annotated[
    bool,
    typer.Option("--skip-missing", help="Leave out missing images, and studies of which no image is left."),
]


@app.command()
def check(
    path: _Corpus,
    layout: Layout = None,
    columns: Columns = None,
    json: Annotated[Path | None, typer.Option(help="Write all results to this JSON file; it quotes no report.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with charts to this file; it contains patient data.")
    ] = None,
    no_images: _NoImages = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 6 if there is a serious problem.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the choice of images on the page.")] = 0,
    findings: Findings = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Count the contents of a corpus and list its problems."""
    set_verbosity(verbose=verbose, quiet=quiet)
    check_outputs(json, html)
    source = CorpusSource.from_options(path, layout, columns, findings)
    with source.open(check=False) as dataset, _progress("checking", len(dataset)) as progress:
        # Imports SciPy, datasketch and imagehash, which a corpus that cannot be read does not need.
        from report_gen.corpora import read_columns
        from report_gen.corpus_qc import check_corpus, render_check, write_html, write_json

        results, example_images = check_corpus(
            dataset,
            source=str(path),
            examine_images=not no_images,
            progress=progress,
            seed=seed,
            schema=source.schema,
            columns=read_columns(path, layout=layout, schema=source.schema, columns=source.columns),
        )
    if json is not None:
        write_json(results, json)
    if html is not None:
        write_html(results, example_images, html)
    print_table(render_check(results))  # last, because a pipe may end the command here
    if strict and results.serious:
        serious = [problem.text for problem in results.problems if problem.serious]
        print_error(f"{path}: fails --strict: {' | '.join(serious)}")
        raise typer.Exit(STRICT_CHECK_FAILED)


@app.command()
def split(
    path: _Corpus,
    output: _Output,
    layout: Layout = None,
    columns: Columns = None,
    ratios: Annotated[str, typer.Option(help="Fractions of train, val and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of the split.")] = 0,
    no_images: _NoImages = False,
    skip_missing: _SkipMissing = False,
    findings: Findings = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Split a corpus by patient, with equal proportions of findings. split.json records the method."""
    set_verbosity(verbose=verbose, quiet=quiet)
    from report_gen.corpus_qc import new_manifest_path, split_corpus, split_rows, write_manifest

    source = CorpusSource.from_options(path, layout, columns, findings, images=not no_images, skip_missing=skip_missing)
    fractions, manifest = _parse_ratios(ratios), new_manifest_path(output)
    with source.open(store=output, check=False) as dataset:
        with _progress("reading findings", len(dataset)) as progress:
            result = split_corpus(
                dataset, source=str(path), ratios=fractions, seed=seed, progress=progress, schema=source.schema
            )
        write_manifest(manifest, split_rows(dataset, result.splits), source.schema)
    _write_record(output / "split.json", path, result.summary)
    if unknown := result.summary["studies_without_patient"]:
        print_notice(
            f"the patients of {unknown} studies are unknown, so each counts as a patient, and studies of one "
            "patient may be in different splits (add a column patient_id, or --columns patient=NAME)"
        )
    studies = ", ".join(f"{name} {count:,}" for name, count in result.summary["studies"].items())
    print_text(f"{manifest}: {studies} studies")


@app.command()
def convert(
    path: _Corpus,
    output: _Output,
    layout: Layout = None,
    columns: Columns = None,
    no_images: _NoImages = False,
    skip_missing: _SkipMissing = False,
    findings: Findings = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Write a corpus of any layout as a manifest with the same content."""
    set_verbosity(verbose=verbose, quiet=quiet)
    from report_gen.corpus_qc import new_manifest_path, rows_of, write_manifest
    from report_gen.terminal import track

    source = CorpusSource.from_options(path, layout, columns, findings, images=not no_images, skip_missing=skip_missing)
    manifest = new_manifest_path(output)
    with source.open(store=output) as dataset:
        write_manifest(manifest, track(rows_of(dataset), total=len(dataset), description="converting"), source.schema)
    print_text(f"{manifest}: {len(dataset):,} studies")


@app.command()
def clean(
    path: _Corpus,
    output: _Output,
    layout: Layout = None,
    columns: Columns = None,
    marks: Annotated[
        Literal["strip", "mask", "drop", "keep"],
        typer.Option(help="Marks such as XXXX: remove them, write all as ___, drop their sentences, or keep them."),
    ] = "strip",
    priors: Annotated[Literal["drop", "keep"], typer.Option(help="Sentences that refer to an earlier study.")] = "drop",
    no_images: _NoImages = False,
    skip_missing: _SkipMissing = False,
    findings: Findings = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Remove de-identification marks, and mentions of earlier studies.

    Each row of the new manifest records what was removed.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    from collections import Counter

    from report_gen.corpus_qc import Marks, clean_rows, new_manifest_path, rows_of, write_manifest
    from report_gen.terminal import track

    source = CorpusSource.from_options(path, layout, columns, findings, images=not no_images, skip_missing=skip_missing)
    manifest = new_manifest_path(output)
    tally: Counter[str] = Counter()
    with source.open(store=output) as dataset:
        rows = clean_rows(rows_of(dataset), marks=Marks(marks), drop_priors=priors == "drop", tally=tally)
        write_manifest(manifest, track(rows, total=len(dataset), description="cleaning"), source.schema)
    _write_record(output / "clean.json", path, {"marks": marks, "priors": priors, "counts": dict(tally)})
    print_text(f"{manifest}: " + ", ".join(f"{count:,} {name}" for name, count in sorted(tally.items(), reverse=True)))


@contextmanager
def _progress(task: str, total: int) -> Iterator[Callable[[int], None]]:
    from report_gen.terminal import bars

    with bars() as progress:
        yield lambda done: progress.show(task, done, total)


def _parse_ratios(text: str) -> dict[str, float]:
    """Parse three numbers into the fraction of each split; fractions sum to 1. Raises UsageError."""
    from report_gen.corpora import SPLITS

    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(SPLITS) or not all(0 <= number < float("inf") for number in numbers) or not numbers[0]:
        raise UsageError(f"--ratios {text!r}: give three fractions for {', '.join(SPLITS)}, such as 0.8,0.1,0.1")
    return dict(zip(SPLITS, (number / sum(numbers) for number in numbers), strict=True))


def _write_record(path: Path, source: Path, how: Mapping[str, Any]) -> None:
    import json

    from report_gen import __version__
    from report_gen.files import write_atomically

    document = {"source": str(source), "version": __version__, **how}
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
