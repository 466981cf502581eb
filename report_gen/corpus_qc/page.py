"""A check as one HTML page: what is wrong, figures, plots, what repeats, and contact sheets. It quotes patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape

import numpy as np

from report_gen.corpus_qc.contact_sheet import draw_sheet, embed
from report_gen.corpus_qc.example_images import ExampleImages
from report_gen.corpus_qc.problems import FEW
from report_gen.corpus_qc.results import CorpusCheck, Support
from report_gen.rendering.html import render_document
from report_gen.rendering.svg import Bar, draw_bars, draw_histogram

_WARNING = "This page quotes reports and shows images of patients: keep it where the corpus may be kept."
_PAIRS = 4
"""Pairs of images in a row."""


def render_page(check: CorpusCheck, example_images: ExampleImages) -> str:
    """The page as text."""
    return render_document(f"Corpus {check.source}", _body(check, example_images))


def _body(check: CorpusCheck, example_images: ExampleImages) -> Iterator[str]:
    yield f'<h1>Corpus {escape(check.source)}</h1><p class="fails">{_WARNING}</p>'
    for problem in check.problems:
        yield f'<p class="{"fails" if problem.serious else "notice"}">{escape(problem.text)}</p>'
    for fault in check.images.faults if check.images else ():
        yield f"<code>{escape(fault)}</code><br>"
    yield from _counts(check)
    yield from _in_train(check)
    yield from _lengths(check, example_images)
    yield from _findings(check)
    yield from _views(check)
    yield from _sheets(example_images)
    yield from _repeated(example_images)


def _counts(check: CorpusCheck) -> Iterator[str]:
    yield "<h2>How much there is</h2>"
    names = ("studies", "patients", "images", "with_images", "with_report", "with_labels")
    rows = ((name.replace("_", " "), *(f"{getattr(c, name):,}" for c in check.counts.values())) for name in names)
    yield _table(("", *check.counts), rows)
    if check.images is not None:
        yield "<h2>Images</h2>"
        images, found = check.images, check.images.duplicates
        cells = (images.named, images.missing, images.unreadable, images.blank, found.items - found.distinct)
        heads = ("named", "missing", "unreadable", "blank", "copies", "look like others")
        yield _table(heads, [[f"{count:,}" for count in (*cells, found.alike)]])


def _in_train(check: CorpusCheck) -> Iterator[str]:
    held = {name: dict(splits) for name, splits in check.in_train.items()}
    if check.images is not None:
        held["images"] = dict(check.images.in_train)
    bars = [
        Bar(
            label=f"{split} {name}",
            value=copies.same if copies.alike is None else copies.alike,
            interval=None,
            note=f"{copies.same:.1%} the same" + ("" if copies.alike is None else f", {copies.alike:.1%} or nearly"),
        )
        for name, splits in held.items()
        for split, copies in splits.items()
    ]
    if bars:
        yield "<h2>What stands in train, too</h2>" + draw_bars(bars, top=1.0, title="share that stands in train")


def _lengths(check: CorpusCheck, example_images: ExampleImages) -> Iterator[str]:
    studies = max(check.counts["all"].studies, 1)
    bars = [_share(name, section.studies / studies, section.studies) for name, section in check.sections.items()]
    yield "<h2>Sections</h2>" + draw_bars(bars, top=1.0, title="studies with each section")
    reports = max(check.counts["all"].with_report, 1)
    shares = [
        _share("with de-identification marks", check.marked / reports, check.marked),
        _share("about an earlier study", check.with_prior / reports, check.with_prior),
    ]
    yield "<h2>Reports</h2>"
    yield draw_bars(shares, top=1.0, title="reports with marks and priors")
    for name, words in example_images.lengths.items():
        if len(words):
            longest = np.percentile(words, 99)  # the tail of a few would press the others into one column
            shown = draw_histogram(words[words <= longest], title=f"words of {name}", unit="studies", decimals=0)
            yield f"<h2>Length of {name}, without the longest 1%</h2>{shown}"


def _findings(check: CorpusCheck) -> Iterator[str]:
    kinds: Mapping[str, Mapping[str, Support]] = {"as the reports say": check.said, "by the labels": check.labelled}
    for kind, supports in kinds.items():
        top = max((support.present for support in supports.values()), default=0)
        if top:
            yield f"<h2>Studies with each finding, {kind}</h2><p>Faint: fewer than {FEW}.</p>"
            bars = [_finding(name, support) for name, support in supports.items()]
            yield draw_bars(bars, top=1.5 * top, title=f"studies with each finding, {kind}")


def _finding(name: str, support: Support) -> Bar:
    uncertain = f", uncertain {support.uncertain}" if support.uncertain else ""
    note = f"{support.present} (absent {support.absent}{uncertain})"
    return Bar(label=name, value=support.present, interval=None, note=note, faint=support.present < FEW)


def _views(check: CorpusCheck) -> Iterator[str]:
    if check.views:
        named = sum(check.views.values())
        bars = [_share(name, count / named, count) for name, count in check.views.items()]
        yield "<h2>Views</h2>" + draw_bars(bars, top=1.0, title="images of each view")


def _share(label: str, share: float, count: int) -> Bar:
    return Bar(label=label, value=share, interval=None, note=f"{share:.1%}, {count:,}")


def _sheets(example_images: ExampleImages) -> Iterator[str]:
    if example_images.pictures:
        source = embed(draw_sheet(example_images.pictures))
        yield f'<h2>Images, drawn at random</h2><img alt="contact sheet" src="{source}">'
    if example_images.look_alikes:
        source = embed(draw_sheet(example_images.look_alikes, columns=2 * _PAIRS))
        yield f'<h2>Images that look alike, in pairs</h2><img alt="images that look alike" src="{source}">'


def _repeated(example_images: ExampleImages) -> Iterator[str]:
    if example_images.commonest:
        yield "<h2>Reports that repeat word for word, the commonest</h2>"
        yield _table(("times", "report"), ([str(count), text] for count, text in example_images.commonest))
    if example_images.alike:
        yield "<h2>Reports that are nearly the same</h2>"
        yield _table(("one", "another"), example_images.alike, kind="")


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "figures") -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{kind}"><tr>{head}</tr>{body}</table>'
