"""A check on the terminal. It quotes no report."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from report_gen.corpus_qc.results import Copies, CorpusCheck, ImageCheck

_LENGTHS = ("5", "50", "95", "100")


def render_check(check: CorpusCheck) -> RenderableType:
    """The check as something that a rich console prints: figures, then what is wrong."""
    return Group(*_parts(check))


def _parts(check: CorpusCheck) -> Iterator[RenderableType]:
    yield _counts(check)
    yield _sections(check)
    yield _in_train(check)
    yield _findings(check)
    if check.images is not None:
        yield _images(check.images)
    if check.views:
        yield Text("views: " + ", ".join(f"{name} {count}" for name, count in check.views.items()))
    if not check.problems:
        yield Text("nothing wrong was found", style="green")
    for problem in check.problems:
        yield Text(problem.text, style="bold red" if problem.serious else "yellow")
    for fault in check.images.faults if check.images else ():
        yield Text(f"  {fault}", style="dim")


def _counts(check: CorpusCheck) -> Table:
    table = _table(f"Corpus {check.source}", "", *check.counts)
    names = ("studies", "patients", "images", "with_images", "with_report", "with_labels")
    for name in names:
        table.add_row(name.replace("_", " "), *(f"{getattr(counts, name):,}" for counts in check.counts.values()))
    return table


def _sections(check: CorpusCheck) -> Table:
    table = _table("Sections, and their words", "", "studies", "different", "marked", "5%", "half", "95%", "most")
    for name, section in check.sections.items():
        distinct = "" if section.distinct is None else f"{section.distinct:,}"
        lengths = (f"{section.words[place]:.0f}" if section.words else "" for place in _LENGTHS)
        table.add_row(name, f"{section.studies:,}", distinct, f"{section.marked:,}", *lengths)
    reports = check.reports
    table.caption = (
        f"{reports.items:,} reports, {reports.distinct:,} different; {reports.alike:,} of these nearly the same as "
        f"another, in {reports.clusters:,} groups. {check.with_prior:,} speak of an earlier study."
    )
    return table


def _in_train(check: CorpusCheck) -> Table:
    table = _table("Also in train", "of the", "split", "held", "the same", "or nearly")
    for name, splits in check.in_train.items():
        for split, copies in splits.items():
            table.add_row(name, split, *_copies(copies))
    for split, copies in check.images.in_train.items() if check.images else ():
        table.add_row("images", split, *_copies(copies))
    return table


def _copies(copies: Copies) -> tuple[str, str, str]:
    return f"{copies.held:,}", f"{copies.same:.1%}", "" if copies.alike is None else f"{copies.alike:.1%}"


def _findings(check: CorpusCheck) -> Table:
    labels = ("label 1", "label 0") if check.labelled else ()
    table = _table("Studies with each finding", "", "said present", "absent", "uncertain", *labels)
    for name, said in check.said.items():
        known = check.labelled.get(name)
        label = (f"{known.present:,}", f"{known.absent:,}") if known else ()
        table.add_row(name, f"{said.present:,}", f"{said.absent:,}", f"{said.uncertain:,}", *label)
    return table


def _images(images: ImageCheck) -> Table:
    found = images.duplicates
    table = _table("Images", "named", "missing", "unreadable", "blank", "copies", "alike", "median size")
    size = f"{images.columns['50']:.0f} x {images.rows['50']:.0f}" if images.rows else ""
    counts = (images.named, images.missing, images.unreadable, images.blank, found.items - found.distinct, found.alike)
    table.add_row(*(f"{count:,}" for count in counts), size)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", caption_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=place == 0)
    return table
