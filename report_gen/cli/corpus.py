"""`report-gen corpus check|split|convert|clean`: find faults of a corpus and write it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from report_gen.cli.corpus_help import COLUMNS_HELP, RECIPE_HELP
from report_gen.cli.options import (
    MAX_SEED,
    STRICT_CHECK_FAILED,
    Columns,
    Findings,
    Layout,
    load_findings,
    parse_columns,
)
from report_gen.errors import CorpusError, UsageError
from report_gen.terminal import Quiet, Verbose, print_error, print_notice, print_table, print_text, set_verbosity

if TYPE_CHECKING:
    from datasets import Dataset

    from report_gen.records import FindingSchema

app = typer.Typer(
    help="Check, split, clean and convert a corpus before training.\n\n" + COLUMNS_HELP,
    epilog=RECIPE_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

_Corpus = Annotated[Path, typer.Argument(metavar="PATH", help="Corpus: a file or folder in a known layout.")]
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
    schema, mapping = load_findings(findings), parse_columns(columns)
    with (
        _opened(path, layout, mapping, require_images=None, check=False, schema=schema) as dataset,
        _progress("checking", len(dataset)) as progress,
    ):
        # Imports SciPy, datasketch and imagehash, which a corpus that cannot be read does not need.
        from report_gen.corpora import read_columns
        from report_gen.corpus_qc import check_corpus, render_check, write_html, write_json

        results, example_images = check_corpus(
            dataset,
            source=str(path),
            examine_images=not no_images,
            progress=progress,
            seed=seed,
            schema=schema,
            columns=read_columns(path, layout=layout, schema=schema, columns=mapping),
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

    schema, fractions, manifest = load_findings(findings), _parse_ratios(ratios), new_manifest_path(output)
    with _opened(
        path,
        layout,
        parse_columns(columns),
        require_images=None if no_images else True,
        skip_missing=skip_missing,
        check=False,
        images=output,
        schema=schema,
    ) as dataset:
        with _progress("reading findings", len(dataset)) as progress:
            result = split_corpus(
                dataset, source=str(path), ratios=fractions, seed=seed, progress=progress, schema=schema
            )
        write_manifest(manifest, split_rows(dataset, result.splits), schema)
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

    schema = load_findings(findings)
    manifest = new_manifest_path(output)
    with _opened(
        path,
        layout,
        parse_columns(columns),
        require_images=None if no_images else True,
        skip_missing=skip_missing,
        images=output,
        schema=schema,
    ) as dataset:
        write_manifest(manifest, track(rows_of(dataset), total=len(dataset), description="converting"), schema)
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
    """Remove de-identification marks and sentences about earlier studies. Each row records what was removed."""
    set_verbosity(verbose=verbose, quiet=quiet)
    from collections import Counter

    from report_gen.corpus_qc import Marks, clean_rows, new_manifest_path, rows_of, write_manifest
    from report_gen.terminal import track

    schema = load_findings(findings)
    manifest = new_manifest_path(output)
    tally: Counter[str] = Counter()
    with _opened(
        path,
        layout,
        parse_columns(columns),
        require_images=None if no_images else True,
        skip_missing=skip_missing,
        images=output,
        schema=schema,
    ) as dataset:
        rows = clean_rows(rows_of(dataset), marks=Marks(marks), drop_priors=priors == "drop", tally=tally)
        write_manifest(manifest, track(rows, total=len(dataset), description="cleaning"), schema)
    _write_record(output / "clean.json", path, {"marks": marks, "priors": priors, "counts": dict(tally)})
    print_text(f"{manifest}: " + ", ".join(f"{count:,} {name}" for name, count in sorted(tally.items(), reverse=True)))


@contextmanager
def _opened(
    path: Path,
    layout: str | None,
    columns: Mapping[str, tuple[str, ...]],
    *,
    require_images: bool | None,
    skip_missing: bool = False,
    check: bool = True,
    images: Path | None = None,
    schema: FindingSchema,
) -> Iterator[Dataset]:
    """Read a corpus into a table on disk that is deleted at the end of the context.

    Args:
        columns: As in `read_corpus`.
        require_images: As in `read_corpus`.
        skip_missing: Leave out missing images, and studies of which no image is left; their numbers are printed.
        check: As in `read_corpus`.
        schema: Findings whose labels are read.
        images: Folder for images that the corpus holds embedded; they are kept. Default: a temporary folder.
    """
    from report_gen.corpora import read_corpus

    with (
        TemporaryDirectory(prefix="report-gen-") as folder,
        _removed_if_empty(images or Path(folder, "store")) as store,
    ):
        dataset = read_corpus(
            path,
            layout=layout,
            require_images=None if skip_missing else require_images,
            check=check,
            store=store,
            schema=schema,
            columns=columns,
        )
        table = Path(dataset.cache_files[0]["filename"])
        try:
            yield _without_missing(dataset, path) if skip_missing else dataset
        finally:
            table.unlink()


def _without_missing(dataset: Dataset, source: Path) -> Dataset:
    """Leave out missing images and studies of which no image is left, and print how many.

    Raises:
        CorpusError: No study is left.
    """
    from report_gen.corpus_qc import leave_out_missing

    kept, images, studies = leave_out_missing(dataset)
    if studies and not len(kept):
        raise CorpusError(
            f"{source}: all {images} images are missing, so no study is left; add the files, or correct their names"
        )
    print_notice(f"left out {images} missing images, and {studies} studies of which no image is left")
    return kept


@contextmanager
def _removed_if_empty(folder: Path) -> Iterator[Path]:
    """Remove the folder at the end of the context if it was created meanwhile and is empty."""
    existed = folder.exists()
    try:
        yield folder
    finally:
        if not existed:
            with suppress(OSError):
                folder.rmdir()


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
