"""Render a check as one HTML page: problems, counts, charts, repeated reports and contact sheets.

The page contains reports and images of patients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

import numpy as np

from report_gen.corpus_qc.contact_sheet import draw_contact_sheet, encode_data_url
from report_gen.corpus_qc.example_images import ExampleImages
from report_gen.corpus_qc.problems import MIN_POSITIVE
from report_gen.corpus_qc.results import CorpusCheck, FindingCounts
from report_gen.rendering import Bar, draw_bars, draw_histogram, render_document

_WARNING = "This page quotes reports and shows images of patients. Protect it like the corpus."
_PAIRS_PER_ROW = 4


def render_page(check: CorpusCheck, example_images: ExampleImages) -> str:
    """Return the page."""
    return render_document(f"Corpus {check.source}", _body(check, example_images))


def _body(check: CorpusCheck, example_images: ExampleImages) -> Iterator[str]:
    yield f'<h1>Corpus {escape(check.source)}</h1><p class="fails">{_WARNING}</p>'
    for problem in check.problems:
        yield f'<p class="{"fails" if problem.serious else "notice"}">{escape(problem.text)}</p>'
    for error in check.images.errors if check.images else ():
        yield f"<code>{escape(error)}</code><br>"
    if check.columns is not None:
        unused = [(column, "not recognized") for column in check.columns.unused]
        yield "<h2>Columns</h2>" + _table(("column", "read as"), [*check.columns.describe(), *unused])
    yield from _counts(check)
    yield from _overlap(check)
    yield from _lengths(check, example_images)
    yield from _findings(check)
    yield from _views(check)
    yield from _contact_sheets(example_images)
    yield from _repeated_reports(example_images)


def _counts(check: CorpusCheck) -> Iterator[str]:
    yield "<h2>Size</h2>"
    names = ("studies", "patients", "images", "with_images", "with_report", "with_labels")
    rows = ((name.replace("_", " "), *(f"{getattr(c, name):,}" for c in check.counts.values())) for name in names)
    yield _table(("", *check.counts), rows)
    if check.images is not None:
        yield "<h2>Images</h2>"
        images, duplicates = check.images, check.images.duplicates
        copies = duplicates.items - duplicates.distinct
        cells = (images.listed, images.missing, images.unreadable, images.blank, copies, duplicates.similar)
        headings = ("listed", "missing", "unreadable", "blank", "identical copies", "similar to others")
        yield _table(headings, [[f"{count:,}" for count in cells]])


def _overlap(check: CorpusCheck) -> Iterator[str]:
    kinds = {name: dict(splits) for name, splits in check.overlap_with_train.items()}
    if check.images is not None:
        kinds["images"] = dict(check.images.overlap_with_train)
    bars = [
        Bar(
            label=f"{split} {name}",
            value=overlap.identical if overlap.similar is None else overlap.similar,
            interval=None,
            note=f"{overlap.identical:.1%} identical"
            + ("" if overlap.similar is None else f", {overlap.similar:.1%} with similar"),
        )
        for name, splits in kinds.items()
        for split, overlap in splits.items()
    ]
    if bars:
        yield "<h2>Overlap with train</h2>" + draw_bars(bars, top=1.0, title="fraction that is also in train")


def _lengths(check: CorpusCheck, example_images: ExampleImages) -> Iterator[str]:
    studies = max(check.counts["all"].studies, 1)
    bars = [_bar(name, section.studies / studies, section.studies) for name, section in check.sections.items()]
    yield "<h2>Sections</h2>" + draw_bars(bars, top=1.0, title="studies with each section")
    reports = max(check.counts["all"].with_report, 1)
    bars = [
        _bar("with de-identification marks", check.with_marks / reports, check.with_marks),
        _bar("refer to an earlier study", check.with_prior / reports, check.with_prior),
    ]
    yield "<h2>Reports</h2>"
    yield draw_bars(bars, top=1.0, title="reports with marks and priors")
    for name, words in example_images.section_lengths.items():
        if len(words):
            limit = np.percentile(words, 99)  # a few very long texts would compress the histogram into one bar
            histogram = draw_histogram(words[words <= limit], title=f"words of {name}", unit="studies", decimals=0)
            yield f"<h2>Length of {name}, without the longest 1%</h2>{histogram}"


def _findings(check: CorpusCheck) -> Iterator[str]:
    kinds: Mapping[str, Mapping[str, FindingCounts]] = {
        "by report": check.findings_in_reports,
        "by label": check.findings_in_labels,
    }
    for kind, counts in kinds.items():
        top = max((count.present for count in counts.values()), default=0)
        if top:
            yield f"<h2>Studies with each finding, {kind}</h2><p>Faint: fewer than {MIN_POSITIVE}.</p>"
            bars = [_finding_bar(name, count) for name, count in counts.items()]
            yield draw_bars(bars, top=1.5 * top, title=f"studies with each finding, {kind}")


def _finding_bar(name: str, count: FindingCounts) -> Bar:
    uncertain = f", uncertain {count.uncertain}" if count.uncertain else ""
    note = f"{count.present} (absent {count.absent}{uncertain})"
    return Bar(label=name, value=count.present, interval=None, note=note, faint=count.present < MIN_POSITIVE)


def _views(check: CorpusCheck) -> Iterator[str]:
    if check.views:
        total = sum(check.views.values())
        bars = [_bar(name, count / total, count) for name, count in check.views.items()]
        yield "<h2>Views</h2>" + draw_bars(bars, top=1.0, title="images of each view")


def _bar(label: str, fraction: float, count: int) -> Bar:
    return Bar(label=label, value=fraction, interval=None, note=f"{fraction:.1%}, {count:,}")


def _contact_sheets(example_images: ExampleImages) -> Iterator[str]:
    if example_images.random_images:
        source = encode_data_url(draw_contact_sheet(example_images.random_images))
        yield f'<h2>Random images</h2><img alt="contact sheet of random images" src="{source}">'
    if example_images.similar_images:
        source = encode_data_url(draw_contact_sheet(example_images.similar_images, columns=2 * _PAIRS_PER_ROW))
        yield f'<h2>Similar images, in pairs</h2><img alt="contact sheet of similar images" src="{source}">'


def _repeated_reports(example_images: ExampleImages) -> Iterator[str]:
    if example_images.frequent_reports:
        yield "<h2>Most frequent reports</h2>"
        yield _table(("count", "report"), ([str(count), text] for count, text in example_images.frequent_reports))
    if example_images.similar_reports:
        yield "<h2>Similar reports</h2>"
        yield _table(("report", "similar report"), example_images.similar_reports, kind="")


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "figures") -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{head}</tr>{body}</table>'
