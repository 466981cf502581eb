"""Render a score run as one HTML page: verdicts, model and baselines, findings, distributions, worst and best cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from report_gen.metrics.cases import Case
from report_gen.metrics.finding_scores import FEW_POSITIVES, UNCERTAIN_POLICIES, label_name
from report_gen.metrics.score_records import ScoreRun
from report_gen.metrics.significance import Difference
from report_gen.metrics.word_diff import mark_differences
from report_gen.rendering import Bar, draw_bars, draw_histogram, render_document

_RANKED_BY = "ROUGE-L (coco)"
_HISTOGRAMS = ("BLEU-1", "ROUGE-L (coco)", "CIDEr-D")
_CASES = 5
"""Number of worst and of best cases."""


def render_page(run: ScoreRun) -> str:
    """Render the page. It quotes the worst and best reports, so store it where reports may be stored."""
    return render_document("Scores of drafted reports", _body(run))


def _body(run: ScoreRun) -> Iterator[str]:
    yield f"<h1>Scores of {run.model.diversity.reports} drafted reports</h1>"
    yield f"<p><code>{escape(run.signature)}</code></p>"
    for verdict in run.verdicts:
        yield f'<p class="{"fails" if verdict.fails else "notice"}">{escape(verdict.text)}</p>'
    for notice in run.notices:
        yield f'<p class="notice">{escape(notice)}</p>'
    yield "<h2>Model and baselines</h2>"
    yield "<p>Each chart has its own scale, written below it. CIDEr-D can be 10 at most, the others 1.</p>"
    yield from _model_and_baselines(run)
    yield from _image_use(run)
    policy = next(iter(UNCERTAIN_POLICIES))
    if run.schema.scored_findings:
        yield f"<h2>F1 of each finding, {policy}</h2><p>Pale: fewer than {FEW_POSITIVES} positive references.</p>"
        yield _single_findings(run, policy)
    yield "<h2>Scores of the single reports</h2>"
    for name in _HISTOGRAMS:
        yield draw_histogram([case.scores[name] for case in run.cases], title=name)
    ranked = sorted(run.cases, key=lambda case: case.scores[_RANKED_BY])
    yield f"<h2>Worst by {escape(_RANKED_BY)}</h2>" + _render_cases(ranked[:_CASES])
    yield f"<h2>Best by {escape(_RANKED_BY)}</h2>" + _render_cases(ranked[: -_CASES - 1 : -1])


def _model_and_baselines(run: ScoreRun) -> Iterator[str]:
    systems = (run.model, *run.baselines)
    for name in run.headline:
        if any(score.name == name for score in run.model.scores):
            scores = {system.name: system[name] for system in systems}
            bars = [
                Bar(
                    label=system,
                    value=score.value,
                    interval=score.interval,
                    note=f"{score.value:.3f}",
                    faint=system != run.model.name,
                )
                for system, score in scores.items()
            ]
            top = max([bar.value for bar in bars] + [end for bar in bars for end in bar.interval or ()])
            yield f"<h3>{escape(name)}</h3>{draw_bars(bars, top=top, title=name)}"


def _image_use(run: ScoreRun) -> Iterator[str]:
    for control, differences in run.image_use.items():
        rows = "".join(_difference(one) for one in differences if one.name in run.headline)
        yield f"<h2>Own images against {escape(control)} images</h2>"
        titles = ("", f"{escape(control)} images", "own images", "difference, 95%", "p")
        heads = "".join(f"<th>{title}</th>" for title in titles)
        yield f'<table class="figures"><tr>{heads}</tr>{rows}</table>'


def _difference(one: Difference) -> str:
    low, high = one.interval
    difference = f"{one.second - one.first:+.3f} ({low:+.3f} to {high:+.3f})"
    cells = (escape(one.name), f"{one.first:.3f}", f"{one.second:.3f}", difference, f"{one.p_bootstrap:.4f}")
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _single_findings(run: ScoreRun, policy: str) -> str:
    bars = []
    for finding in run.schema.scored_findings:
        score, support = run.model[label_name(finding, "F1", policy)], run.support[policy][finding]
        if support == 0:
            bars.append(Bar(label=finding, value=0.0, interval=None, note="not measurable (no such report)"))
            continue
        note = f"{score.value:.2f}, support {support}"
        faint = support < FEW_POSITIVES
        bars.append(Bar(label=finding, value=score.value, interval=score.interval, note=note, faint=faint))
    return draw_bars(bars, top=1.0, title=f"F1 of each finding, {policy}")


def _render_cases(cases: Iterable[Case]) -> str:
    rows = "".join(_render_case(case) for case in cases)
    return f"<table><tr><th>draft</th><th>reference</th></tr>{rows}</table>"


def _render_case(case: Case) -> str:
    draft, reference = mark_differences(case.prediction, case.reference)
    missed = f"<br><small>missed: {escape(', '.join(case.missed))}</small>" if case.missed else ""
    invented = f"<br><small>invented: {escape(', '.join(case.invented))}</small>" if case.invented else ""
    score = f"<small>{escape(case.study_id)}, {case.scores[_RANKED_BY]:.3f}</small><br>"
    return f"<tr><td>{score}{draft}{invented}</td><td>{reference}{missed}</td></tr>"
