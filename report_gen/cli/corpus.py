"""The doors of curating: `report-gen corpus check|split|convert|clean`. Heavy imports stay inside the handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from report_gen.errors import UsageError

if TYPE_CHECKING:
    from datasets import Dataset

    from report_gen.records.findings import FindingSchema

CORPUS_FAILS = 6
"""Exit code of a strict check that found a serious problem."""

app = typer.Typer(
    help="Learn what is wrong with a corpus before training on it, and mend it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_Corpus = Annotated[Path, typer.Argument(metavar="PATH", help="A corpus: a file or folder in a known layout.")]
_Layout = Annotated[str | None, typer.Option(help="Layout of the corpus; found by looking without it.")]
_Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for manifest.jsonl; it must not hold one.")]
_Findings = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Findings file (TOML); the findings of the chest without it.")
]
_NoImages = Annotated[bool, typer.Option("--no-images", help="Neither open images nor ask whether they are there.")]


@app.command()
def check(
    path: _Corpus,
    layout: _Layout = None,
    json: Annotated[Path | None, typer.Option(help="Write everything here, for programs; quotes no report.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with plots here; it shows patients' data.")] = None,
    no_images: _NoImages = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 6 when a serious problem is found.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the images that the page shows.")] = 0,
    findings: _Findings = None,
) -> None:
    """Count what a corpus holds, and say what is wrong with it."""
    from report_gen.corpus_qc import check_corpus, render_check, write_html, write_json

    schema = _schema(findings)
    with (
        _opened(path, layout, require_images=None, check=False, schema=schema) as dataset,
        _progress("checking", len(dataset)) as progress,
    ):
        found, example_images = check_corpus(
            dataset,
            source=str(path),
            examine_images=not no_images,
            progress=progress,
            seed=seed,
            schema=schema,
        )
    Console().print(render_check(found))
    if json is not None:
        write_json(found, json)
    if html is not None:
        write_html(found, example_images, html)
    if strict and found.serious:
        raise typer.Exit(CORPUS_FAILS)


@app.command()
def split(
    path: _Corpus,
    output: _Output,
    layout: _Layout = None,
    ratios: Annotated[str, typer.Option(help="Shares of train, val and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(min=0, help="Another one deals the patients anew.")] = 0,
    no_images: _NoImages = False,
    findings: _Findings = None,
) -> None:
    """Split a corpus by patient, every split with its share of each finding; split.json says how."""
    from report_gen.corpus_qc import new_manifest_path, split_corpus, split_rows, write_manifest

    shares, place, schema = _parse_ratios(ratios), new_manifest_path(output), _schema(findings)
    need_images = None if no_images else True
    with _opened(path, layout, require_images=need_images, check=False, images=output, schema=schema) as dataset:
        with _progress("reading findings", len(dataset)) as progress:
            done = split_corpus(dataset, source=str(path), ratios=shares, seed=seed, progress=progress, schema=schema)
        write_manifest(place, split_rows(dataset, done.splits), schema)
    _write_record(output / "split.json", path, done.summary)
    studies = ", ".join(f"{name} {count:,}" for name, count in done.summary["studies"].items())
    _print(f"{place}: {studies} studies")


@app.command()
def convert(
    path: _Corpus,
    output: _Output,
    layout: _Layout = None,
    no_images: _NoImages = False,
    findings: _Findings = None,
) -> None:
    """Write a corpus of any layout as a manifest, which says the same."""
    from report_gen.corpus_qc import new_manifest_path, rows_of, write_manifest
    from report_gen.terminal import track

    place, schema = new_manifest_path(output), _schema(findings)
    with _opened(path, layout, require_images=None if no_images else True, images=output, schema=schema) as dataset:
        write_manifest(place, track(rows_of(dataset), total=len(dataset), description="converting"), schema)
    _print(f"{place}: {len(dataset):,} studies")


@app.command()
def clean(
    path: _Corpus,
    output: _Output,
    layout: _Layout = None,
    marks: Annotated[
        Literal["strip", "mask", "drop", "keep"],
        typer.Option(help="XXXX, ___ and the like: take them out, write all as ___, drop the sentence, or keep them."),
    ] = "strip",
    priors: Annotated[
        Literal["drop", "keep"], typer.Option(help="Sentences of the report that speak of an earlier study.")
    ] = "drop",
    no_images: _NoImages = False,
    findings: _Findings = None,
) -> None:
    """Write a corpus without de-identification marks and priors; each row of the manifest says what was removed."""
    from collections import Counter

    from report_gen.corpus_qc import Marks, clean_rows, new_manifest_path, rows_of, write_manifest
    from report_gen.terminal import track

    place, schema = new_manifest_path(output), _schema(findings)
    tally: Counter[str] = Counter()
    with _opened(path, layout, require_images=None if no_images else True, images=output, schema=schema) as dataset:
        rows = clean_rows(rows_of(dataset), marks=Marks(marks), drop_priors=priors == "drop", tally=tally)
        write_manifest(place, track(rows, total=len(dataset), description="cleaning"), schema)
    _write_record(output / "clean.json", path, {"marks": marks, "priors": priors, "counts": dict(tally)})
    _print(f"{place}: " + ", ".join(f"{count:,} {name}" for name, count in sorted(tally.items(), reverse=True)))


def _schema(findings: Path | None) -> FindingSchema:
    from report_gen.labeling.schema_files import chest_xray, load_schema

    return chest_xray() if findings is None else load_schema(findings)


@contextmanager
def _opened(
    path: Path,
    layout: str | None,
    *,
    require_images: bool | None,
    check: bool = True,
    images: Path | None = None,
    schema: FindingSchema | None = None,
) -> Iterator[Dataset]:
    """The corpus as a table on disk for as long as it is needed; images that it holds embedded stay in `images`."""
    from report_gen.corpora import read_corpus

    with TemporaryDirectory(prefix="report-gen-") as folder, _gone_if_empty(images or Path(folder, "store")) as store:
        dataset = read_corpus(
            path, layout=layout, require_images=require_images, check=check, store=store, schema=schema
        )
        table = Path(dataset.cache_files[0]["filename"])
        try:
            yield dataset
        finally:
            table.unlink()


@contextmanager
def _gone_if_empty(folder: Path) -> Iterator[Path]:
    """A folder that may be made meanwhile, and goes again where nothing came into it."""
    was_there = folder.exists()
    try:
        yield folder
    finally:
        if not was_there:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _progress(task: str, total: int) -> Iterator[Callable[[int], None]]:
    from report_gen.terminal import bars

    with bars() as shown:
        yield lambda done: shown.show(task, done, total)


def _parse_ratios(text: str) -> dict[str, float]:
    """Shares by split, which sum to 1."""
    from report_gen.corpora import SPLITS

    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(SPLITS) or not all(0 <= number < float("inf") for number in numbers) or not numbers[0]:
        raise UsageError(f"--ratios {text!r}: give three shares, of {', '.join(SPLITS)}, such as 0.8,0.1,0.1")
    return dict(zip(SPLITS, (number / sum(numbers) for number in numbers), strict=True))


def _write_record(path: Path, source: Path, how: Mapping[str, Any]) -> None:
    import json

    from report_gen import __version__
    from report_gen.files import write_atomically

    document = {"source": str(source), "version": __version__, **how}
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _print(message: str) -> None:
    Console().print(message, soft_wrap=True, highlight=False, markup=False)
