"""Render a comparison of models as one HTML page: scores, image use, tests, costs, single studies, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

from report_gen.evaluation.comparison import ComparedModel, Comparison, ReferenceScores
from report_gen.evaluation.comparison_cases import RANKED_BY, ShownStudy, choose_studies
from report_gen.evaluation.comparison_tables import (
    COST_NOTE,
    image_use_text,
    memory_text,
    seconds_text,
    share_text,
)
from report_gen.metrics import PairTest, Score
from report_gen.records import BANNER
from report_gen.rendering import Bar, draw_bars, render_document

_LONGEST_LABEL = 30
"""Characters of a name beside a bar."""
_SIGNIFICANT = 0.05
_STYLE = """
body { max-width: 76rem; }
.banner { border: 2px solid #c00; color: #c00; padding: .5rem .8rem; font-weight: bold; }
.scroll { overflow-x: auto; } .scroll table { width: auto; min-width: 100%; } .figures td, .figures th { width: auto; }
.figures td:first-child { min-width: 9rem; }
.figures th { border-bottom: 1px solid #8888; } .figures small { opacity: .75; white-space: nowrap; }
.baseline { opacity: .7; } .differs { background: #ffd54f55; } td.texts { width: auto; } .texts img { margin: 0; }
.scroll .studies { table-layout: fixed; width: 100%; } .studies th:first-child { width: 230px; }
.reference { border-left: 3px solid var(--ink); padding-left: .5rem; }
code { overflow-wrap: anywhere; }
"""


def render_comparison_page(comparison: Comparison) -> str:
    """Render the page. It quotes reports and shows images, so store it where these may be stored."""
    return render_document("Comparison of report models", _body(comparison), style=_STYLE)


def _body(comparison: Comparison) -> Iterator[str]:
    names = [model.name for model in comparison.models]
    yield f"<h1>Comparison of {escape(', '.join(names))}</h1>"
    yield f'<p class="banner">{escape(BANNER)}. The texts of the models on this page are drafts.</p>'
    yield f"<p>{len(comparison.studies)} studies that every model drafted. Intervals: 95%, bootstrap over studies.</p>"
    for failed in comparison.failed:
        yield f'<p class="fails">{escape(failed.given)} failed: {escape(failed.reason)}</p>'
    for notice in comparison.notices:
        yield f'<p class="notice">{escape(notice)}</p>'
    yield "<h2>Models</h2>"
    yield _overview(comparison)
    yield "<p><small>uses images: a score with own images is higher than with shuffled ones, beyond its 95% interval. "
    yield f"{escape(COST_NOTE)}.</small></p>"
    for part in comparison.parts:
        yield from _scores(part)
        yield from _image_use(part)
        if part.pairs:
            yield from _pairs(part)
    yield from _costs(comparison.models)
    yield from _studies(choose_studies(comparison))
    yield from _refused(comparison.models)
    yield from _provenance(comparison.models)


def _overview(comparison: Comparison) -> str:
    """Return the table of what each model costs, and whether it uses the image."""
    heads = ("", "uses images", "normal drafts", "seconds per study", "memory", "GPU memory", "left out", "no report")
    return _table([_cells(heads, tag="th"), *(_model_row(comparison, model) for model in comparison.models)])


def _model_row(comparison: Comparison, model: ComparedModel) -> str:
    run, counted = model.run, model.evaluation.normal_drafts
    normal = share_text(model.normal_share)
    if counted is not None:
        of_each = f"{counted.normal.share:.0%} of normal, {counted.abnormal.share:.0%} of abnormal studies"
        normal += f"<br><small>{of_each}</small>"
    cells = (
        image_use_text(comparison.parts, model.name),
        normal,
        seconds_text(run.seconds),
        f"{memory_text(run.memory.resident)}<br><small>+{memory_text(run.memory.added)}</small>",
        memory_text(run.memory.gpu),
        str(len(run.drafts.refused)),
        str(len(run.drafts.without_draft)),
    )
    return _cells([f"<b>{escape(model.name)}</b>", *cells])


def _score_table(part: ReferenceScores) -> str:
    """Return the table with one row per model, and the baselines below."""
    rows = [_cells(["", *map(escape, part.names)], tag="th")]
    for system, scores in (*part.models.items(), *part.baselines.items()):
        is_model = system in part.models
        name = f"<b>{escape(system)}</b>" if is_model else escape(system)
        cells = [name, *(_score(scores[name]) for name in part.names)]
        rows.append(_cells(cells, row="" if is_model else "baseline"))
    return _table(rows)


def _scores(part: ReferenceScores) -> Iterator[str]:
    yield f"<h2>Scores against the {part.against}</h2>{_score_table(part)}"
    scale = "Each chart has its own scale, written below it. CIDEr-D can be 10 at most, the others 1."
    yield f"<p>{scale}{' Pale: baselines.' if part.baselines else ''}</p>"
    for name in part.names:
        bars = [
            _bar(system, scores[name], faint=system not in part.models)
            for system, scores in (*part.models.items(), *part.baselines.items())
        ]
        yield f"<h3>{escape(name)}</h3>{_draw(bars, name)}"


def _image_use(part: ReferenceScores) -> Iterator[str]:
    """Draw the scores with own and control images below each other, with their differences."""
    yield f"<h2>Use of the image, against the {part.against}</h2>"
    yield (
        "<p>Pale: the same model with the images of another study (shuffled) or with gray images (blank). The number "
        "is the score with own images minus this score: it is above 0 if the model uses the image.</p>"
    )
    for name in part.names:
        bars = []
        for model, controls in part.image_use.items():
            bars.append(_bar(model, part.models[model][name]))
            for control, differences in controls.items():
                one = next(one for one in differences if one.name == name)
                low, high = one.interval
                note = f"{one.second - one.first:+.3f} ({low:+.3f} to {high:+.3f})"
                bars.append(Bar(label=control, value=one.first, interval=None, note=note, faint=True))
        yield f"<h3>{escape(name)}</h3>{_draw(bars, name)}"


def _pairs(part: ReferenceScores) -> Iterator[str]:
    yield f"<h2>Each pair of models, against the {part.against}</h2>"
    yield (
        "<p>Row minus column: difference, its 95% interval, and the p-values of bootstrap and randomization, corrected "
        f"by the method of Holm for the number of pairs. Marked: both are below {_SIGNIFICANT}. The JSON file has the "
        "p-values without correction as well.</p>"
    )
    for name in part.names:
        tests = [one for one in part.pairs if one.difference.name == name]
        yield f"<h3>{escape(name)}</h3>{_matrix(list(part.models), tests)}"


def _matrix(models: Sequence[str], tests: Iterable[PairTest]) -> str:
    cells: dict[tuple[str, str], str] = {}
    for test in tests:
        cells[test.second, test.first] = _pair_cell(test, sign=1)
        cells[test.first, test.second] = _pair_cell(test, sign=-1)
    rows = [_cells(["", *map(escape, models)], tag="th")]
    for row in models:
        found = "".join(cells.get((row, column), "<td></td>") for column in models)
        rows.append(f"<tr><td><b>{escape(row)}</b></td>{found}</tr>")
    return _table(rows)


def _pair_cell(test: PairTest, *, sign: int) -> str:
    one = test.difference
    low, high = sorted(sign * end + 0.0 for end in one.interval)  # no negative zero
    differs = max(test.holm_bootstrap, test.holm_randomization) < _SIGNIFICANT
    return (
        f'<td class="{"differs" if differs else ""}">{sign * (one.second - one.first):+z.4f}<br>'
        f"<small>{low:+z.4f} to {high:+z.4f}<br>p {test.holm_bootstrap:.4f}, {test.holm_randomization:.4f}</small></td>"
    )


def _costs(models: Sequence[ComparedModel]) -> Iterator[str]:
    seconds = {model.name: model.run.seconds for model in models}
    yield "<h2>Seconds and memory</h2><h3>Seconds per study</h3>"
    yield _plain_bars(seconds, {name: seconds_text(value) for name, value in seconds.items()}, "seconds per study")
    for title, sizes in (
        ("Memory, GiB", {model.name: model.run.memory.resident for model in models}),
        ("GPU memory, GiB", {model.name: model.run.memory.gpu for model in models if model.run.memory.gpu is not None}),
    ):
        if sizes:
            yield f"<h3>{title}</h3>"
            yield _plain_bars(
                {name: (size or 0) / 2**30 for name, size in sizes.items()},
                {name: memory_text(size) for name, size in sizes.items()},
                title,
            )


def _studies(studies: Sequence[ShownStudy]) -> Iterator[str]:
    yield "<h2>Single studies</h2>"
    ranked = ""
    if any(study.scores for study in studies):
        ranked = f"The studies are ranked by {escape(RANKED_BY)}, whose value is beside the name of each model."
    yield f"<p>Images are reduced in size and must not be used for diagnosis. {ranked}</p>"
    for study in studies:
        yield f"<h3>{escape(study.study_id)} <small>{escape(study.kind)}</small></h3>"
        heads, cells = ["image"], [_image(study)]
        if study.reference.strip():
            heads.append("reference")
            cells.append(f'<div class="reference">{_text(study.reference)}</div>')
        for model, draft in study.drafts.items():
            score = f" <small>{study.scores[model]:.3f}</small>" if model in study.scores else ""
            heads.append(f"draft of {escape(model)}{score}")
            cells.append(_text(draft))
        yield _table([_cells(heads, tag="th"), _cells(cells, cell="texts")], kind="figures studies")


def _image(study: ShownStudy) -> str:
    if not study.thumbnail:
        return "cannot be read"
    count = f"<small>first of {study.images} images</small>" if study.images > 1 else ""
    return f'<img src="{study.thumbnail}" alt="first image of the study">{count}'


def _refused(models: Sequence[ComparedModel]) -> Iterator[str]:
    kinds = (
        ("Studies left out", "They are left out for all models.", [model.run.drafts.refused for model in models]),
        (
            "Studies without a report",
            "The model refused to report them, or wrote something else. Their drafts are empty.",
            [model.run.drafts.without_draft for model in models],
        ),
    )
    for title, meaning, errors in kinds:
        if any(errors):
            yield f"<h2>{title}</h2><p>{meaning}</p><ul>"
            for model, of_model in zip(models, errors, strict=True):
                for name, error in of_model.items():
                    yield f"<li>{escape(model.name)}: {escape(name)}: {escape(error.reason)}</li>"
            yield "</ul>"


def _provenance(models: Sequence[ComparedModel]) -> Iterator[str]:
    yield "<h2>Provenance</h2>"
    rows = [_cells(["", *(escape(model.name) for model in models)], tag="th")]
    table: dict[str, list[str]] = {}
    for model in models:
        for key, value in _describe(model).items():
            table.setdefault(key, []).append(value)
    rows += [_cells([key, *values]) for key, values in table.items()]
    yield _table(rows)
    run = next((model.evaluation.reports for model in models if model.evaluation.reports is not None), None)
    if run is not None:
        yield f"<p>Signature of the scores: <code>{escape(run.signature)}</code></p>"


def _describe(model: ComparedModel) -> Mapping[str, str]:
    info = model.run.info
    decoding = ", ".join(f"{name} {value}" for name, value in model.run.decoding.options().items())
    return {
        "name": escape(info.name),
        "given as": f"<code>{escape(model.run.given)}</code>",
        "revision": escape(info.revision) or "-",
        "SHA-256 of the weights": f"<code>{escape(info.weights_sha256)}</code>" if info.weights_sha256 else "unknown",
        "runs on": escape(info.remote or info.device or "another program"),
        "data type": escape(info.dtype) or "unknown",
        "decoding": escape(decoding),
        "findings": escape(info.schema.name),
    }


def _bar(label: str, score: Score, *, faint: bool = False) -> Bar:
    note = f"{score.value:.3f}"
    return Bar(label=_shorten(label), value=score.value, interval=score.interval, note=note, faint=faint)


def _draw(bars: Sequence[Bar], title: str) -> str:
    return draw_bars(bars, top=max(end for bar in bars for end in (bar.value, *(bar.interval or ()))), title=title)


def _plain_bars(values: Mapping[str, float], notes: Mapping[str, str], title: str) -> str:
    bars = [Bar(label=_shorten(name), value=value, interval=None, note=notes[name]) for name, value in values.items()]
    return _draw(bars, title)


def _shorten(name: str) -> str:
    """Replace the middle of a long name, so that it fits beside a chart."""
    half = (_LONGEST_LABEL - 3) // 2
    return name if len(name) <= _LONGEST_LABEL else f"{name[:half]}...{name[-half:]}"


def _score(score: Score) -> str:
    interval = "" if score.interval is None else "<br><small>{:.3f} to {:.3f}</small>".format(*score.interval)
    return f"{score.value:.3f}{interval}"


def _text(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _cells(cells: Iterable[str], *, tag: str = "td", row: str = "", cell: str = "") -> str:
    """Return a row of a table from HTML cells."""
    inner = "".join(f'<{tag} class="{cell}">{one}</{tag}>' if cell else f"<{tag}>{one}</{tag}>" for one in cells)
    return f'<tr class="{row}">{inner}</tr>' if row else f"<tr>{inner}</tr>"


def _table(rows: Iterable[str], *, kind: str = "figures") -> str:
    return f'<div class="scroll"><table class="{kind}">{"".join(rows)}</table></div>'
