"""Render a check as tables for the terminal. The tables quote no report."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from report_gen.corpora import ColumnUse
from report_gen.corpus_qc.results import CorpusCheck, ImageCheck, TrainOverlap

_LENGTH_PERCENTILES = ("5", "50", "95", "100")


def render_check(check: CorpusCheck) -> RenderableType:
    """Return the check as an object that a rich console prints: tables, then problems."""
    return Group(*_parts(check))


def _parts(check: CorpusCheck) -> Iterator[RenderableType]:
    if check.columns is not None:
        yield _columns(check.columns)
    yield _counts(check)
    yield _sections(check)
    yield _overlap(check)
    yield _findings(check)
    if check.images is not None:
        yield _images(check.images)
    if check.views:
        yield Text("Views: " + ", ".join(f"{name} {count}" for name, count in check.views.items()))
    if not check.problems:
        yield Text("No problems found", style="green")
    for problem in check.problems:
        yield Text(problem.text, style="bold red" if problem.serious else "yellow")
    for error in check.images.errors if check.images else ():
        yield Text(f"  {error}", style="dim")


def _columns(use: ColumnUse) -> Table:
    table = _table("Columns", "column", "read as")
    table.columns[1].justify = "left"
    for column, read_as in use.describe():
        table.add_row(Text(column), Text(read_as))
    for column in use.unused:
        table.add_row(Text(column or "(no name)"), Text("not recognized", style="yellow"))
    return table


def _counts(check: CorpusCheck) -> Table:
    table = _table(f"Corpus {check.source}", "", *check.counts)
    names = ("studies", "patients", "images", "with_images", "with_report", "with_labels")
    for name in names:
        table.add_row(name.replace("_", " "), *(f"{getattr(counts, name):,}" for counts in check.counts.values()))
    return table


def _sections(check: CorpusCheck) -> Table:
    columns = ("", "studies", "distinct", "with marks", "words: 5%", "median", "95%", "maximum")
    table = _table("Sections and their lengths", *columns)
    for name, section in check.sections.items():
        distinct = "" if section.distinct is None else f"{section.distinct:,}"
        lengths = (f"{section.words[percentile]:.0f}" if section.words else "" for percentile in _LENGTH_PERCENTILES)
        table.add_row(name, f"{section.studies:,}", distinct, f"{section.with_marks:,}", *lengths)
    reports = check.reports
    table.caption = (
        f"{reports.items:,} reports, {reports.distinct:,} distinct; {reports.similar:,} of these similar to another, "
        f"in {reports.clusters:,} groups. {check.with_prior:,} refer to an earlier study."
    )
    return table


def _overlap(check: CorpusCheck) -> Table:
    table = _table("Overlap with train", "content", "split", "items", "identical", "with similar")
    for name, splits in check.overlap_with_train.items():
        for split, overlap in splits.items():
            table.add_row(name, split, *_overlap_cells(overlap))
    for split, overlap in check.images.overlap_with_train.items() if check.images else ():
        table.add_row("images", split, *_overlap_cells(overlap))
    return table


def _overlap_cells(overlap: TrainOverlap) -> tuple[str, str, str]:
    similar = "" if overlap.similar is None else f"{overlap.similar:.1%}"
    return f"{overlap.items:,}", f"{overlap.identical:.1%}", similar


def _findings(check: CorpusCheck) -> Table:
    labels = ("label 1", "label 0") if check.findings_in_labels else ()
    table = _table("Studies with each finding", "", "report: present", "absent", "uncertain", *labels)
    for name, stated in check.findings_in_reports.items():
        labeled = check.findings_in_labels.get(name)
        cells = (f"{labeled.present:,}", f"{labeled.absent:,}") if labeled else ()
        table.add_row(name, f"{stated.present:,}", f"{stated.absent:,}", f"{stated.uncertain:,}", *cells)
    return table


def _images(images: ImageCheck) -> Table:
    columns = ("listed", "missing", "unreadable", "blank", "identical copies", "similar", "median size")
    table = _table("Images", *columns)
    size = f"{images.columns['50']:.0f} x {images.rows['50']:.0f}" if images.rows else ""
    duplicates = images.duplicates
    copies = duplicates.items - duplicates.distinct
    counts = (images.listed, images.missing, images.unreadable, images.blank, copies, duplicates.similar)
    table.add_row(*(f"{count:,}" for count in counts), size)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=index == 0)
    return table
