"""Render a score run for the terminal: the model beside its baselines, findings, differences, verdicts, notices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from report_gen.labeling import chest_xray
from report_gen.metrics.auroc import AUROC, MEAN_AUROC
from report_gen.metrics.baselines import CONSTANT
from report_gen.metrics.calibration import ALL_FINDINGS, BRIER, BRIER_OF_PREVALENCE, ECE
from report_gen.metrics.diversity import DiversityStats
from report_gen.metrics.finding_scores import (
    FEW_POSITIVES,
    STATISTICS,
    UNCERTAIN_POLICIES,
    average_name,
    is_finding_score,
    label_name,
)
from report_gen.metrics.head_scores import HeadRun
from report_gen.metrics.label_scores import MACRO_F1, LabelScores
from report_gen.metrics.optional_metrics import CHEXBERT
from report_gen.metrics.score import Score
from report_gen.metrics.score_records import ScoreRun, SystemScores
from report_gen.metrics.significance import Difference

_AVERAGES = ("micro", "macro", "per-report", "weighted")


def render_table(run: ScoreRun) -> RenderableType:
    """Render a score run for a rich console. It quotes no report."""
    return Group(*_parts(run))


def render_differences(title: str, first: str, second: str, differences: Iterable[Difference]) -> Table:
    """Render the scores of two systems, their differences, intervals and p-values of bootstrap and randomization."""
    table = score_table(title, "", first, second, "change", "95%", "p boot", "p rand")
    for one in differences:
        table.add_row(one.name, *_difference(one))
    return table


def render_labels(title: str, labels: LabelScores) -> Iterator[Table]:
    """Render the F1 of each label beside controls and baselines, then the differences of the macro averages."""
    titles = (name.replace(" ", "\n") for name in labels.against)  # line breaks keep the table within 80 columns
    table = score_table(title, "", "positive", "own\nimages", "95%", *titles)
    for index, score in enumerate(labels.scores):
        others = (f"{differences[index].first:.3f}" for differences in labels.against.values())
        studies = str(labels.support.get(score.name, ""))
        table.add_row(score.name, studies, f"{score.value:.3f}", render_interval(score), *others)
    yield table
    means = (replace(differences[0], name=f"{MACRO_F1} over {name}") for name, differences in labels.against.items())
    yield render_differences("Against controls and baselines", "other", "own\nimages", means)


def render_head(run: HeadRun) -> Iterator[Table]:
    """Render the scores of the finding head against the labels: each finding, then the differences from controls."""
    mean = next((score for score in run.scores if score.name.startswith(MEAN_AUROC)), None)
    title = "The finding head against the labels" + ("" if mean is None else f"; {mean.name}")
    table = score_table(title, "", "positive", AUROC, "95%", ECE, "ECE by\nchance", BRIER, "Brier of\nprevalence")
    table.columns[0].no_wrap = True
    table.add_row(ALL_FINDINGS, "", *_head_figures(run, ALL_FINDINGS, mean))
    for finding, support in run.support.items():
        area = next((score for score in run.scores if score.name == f"{finding} {AUROC}"), None)
        style = "dim" if support.positive < FEW_POSITIVES else None
        count = f"{support.positive}/{support.studies}"
        table.add_row(finding, count, *_head_figures(run, finding, area), style=style)
    yield table
    for control, difference in run.image_use.items():
        yield render_differences(
            f"The finding head with {control} images", f"{control}\nimages", "own\nimages", [difference]
        )


def _head_figures(run: HeadRun, name: str, area: Score | None) -> list[str]:
    error, *briers = (f"{run[f'{name} {kind}'].value:.3f}" for kind in (ECE, BRIER, BRIER_OF_PREVALENCE))
    figures = [error, f"{run.error_by_chance[name]:.3f}", *briers]
    return ["", "", *figures] if area is None else [f"{area.value:.3f}", render_interval(area), *figures]


def _parts(run: ScoreRun) -> Iterator[RenderableType]:
    yield _wording(run)
    if run.schema.scored_findings:
        yield _findings(run, "", list(run.schema.scored_sets))
        chexbert = list(chest_xray().scored_sets)
        average = average_name("micro", "F1", chexbert[0], "uncertain+", CHEXBERT)
        if any(score.name == average for score in run.model.scores):
            yield _findings(run, CHEXBERT, chexbert)
        yield _single_findings(run)
    yield _diversity(run)
    if run.against_baselines:
        yield render_differences("Against the baselines", "baseline", "model", _against_baselines(run))
    if run.comparison:
        yield render_differences("Against another system", "other", "model", run.comparison)
    if run.training_seeds:
        yield _seeds(run)
    for control, differences in run.image_use.items():
        rows = [one for one in differences if _is_shown(run, one.name)]
        yield render_differences(
            f"Against the reports with {control} images", f"{control}\nimages", "own\nimages", rows
        )
    for verdict in run.verdicts:
        yield Text(verdict.text, style="bold red" if verdict.fails else "yellow")
    for notice in run.notices:
        yield Text(notice, style="yellow")
    yield Text(run.signature, style="dim")


def _against_baselines(run: ScoreRun) -> Iterator[Difference]:
    for baseline, differences in run.against_baselines.items():
        for one in differences:
            yield replace(one, name=f"{one.name} over {baseline}")


def _is_shown(run: ScoreRun, name: str) -> bool:
    """Return whether a score has a row beside other systems: all wording scores, few of the finding scores."""
    return name in run.headline or not is_finding_score(name)


def _wording(run: ScoreRun) -> Table:
    table = score_table("Wording", "", run.model.name, "95%", *(baseline.name for baseline in run.baselines))
    for score in run.model.scores:
        if not is_finding_score(score.name):
            others = (f"{baseline[score.name].value:.4f}" for baseline in run.baselines)
            table.add_row(score.name, f"{score.value:.4f}", render_interval(score), *others)
    return table


def _seeds(run: ScoreRun) -> Table:
    table = score_table(f"Over {len(run.training_seeds[0].values)} training seeds", "", "mean", "deviation", "each")
    for score in run.training_seeds:
        if _is_shown(run, score.name):
            each = "  ".join(f"{value:.4f}" for value in score.values)
            table.add_row(score.name, f"{score.mean:.4f}", f"{score.deviation:.4f}", each)
    return table


def _findings(run: ScoreRun, labeler: str, sizes: Sequence[str]) -> Table:
    constant = next((baseline for baseline in run.baselines if baseline.name == CONSTANT), None)
    table = score_table(
        f"Findings by {labeler or 'rules'}",
        "",
        *STATISTICS,
        "95% of F1",
        *(["F1 of constant"] if constant else []),
    )
    for policy, count, average in product(UNCERTAIN_POLICIES, sizes, _AVERAGES):
        names = [average_name(average, statistic, count, policy, labeler) for statistic in STATISTICS]
        of_constant = [f"{constant[names[-1]].value:.4f}"] if constant else []
        table.add_row(f"{average}, {count} findings, {policy}", *_figures(run.model, names), *of_constant)
    return table


def _single_findings(run: ScoreRun) -> Table:
    policy = next(iter(UNCERTAIN_POLICIES))
    table = score_table(f"Each finding, {policy}", "", "support", *STATISTICS, "95% of F1")
    for finding in run.schema.scored_findings:
        support = run.support[policy][finding]
        names = [label_name(finding, statistic, policy) for statistic in STATISTICS]
        table.add_row(
            finding, str(support), *_figures(run.model, names), style="dim" if support < FEW_POSITIVES else None
        )
    return table


def _diversity(run: ScoreRun) -> Table:
    table = score_table("Diversity", "", "distinct texts", "most frequent", "vocabulary", "normal", "copied from train")
    rows = {run.model.name: run.model.diversity, "references": run.reference_diversity}
    rows |= {baseline.name: baseline.diversity for baseline in run.baselines}
    for name, diversity in rows.items():
        table.add_row(name, *_counts(diversity))
    return table


def score_table(title: str, first: str, *columns: str) -> Table:
    """Return an empty table with a first column for the names of its rows, and columns of numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _figures(system: SystemScores, names: list[str]) -> list[str]:
    scores = [system[name] for name in names]
    return [*(f"{score.value:.4f}" for score in scores), render_interval(scores[-1])]


def render_interval(score: Score) -> str:
    return "" if score.interval is None else "{:.3f} to {:.3f}".format(*score.interval)


def _counts(diversity: DiversityStats) -> list[str]:
    copied = "" if diversity.copied_share is None else f"{diversity.copied_share:.0%}"
    distinct = f"{diversity.distinct} of {diversity.reports}"
    return [
        distinct,
        f"{diversity.most_frequent_share:.0%}",
        str(diversity.vocabulary),
        f"{diversity.normal_share:.0%}",
        copied,
    ]


def _difference(one: Difference) -> list[str]:
    values = [f"{one.first:.4f}", f"{one.second:.4f}", f"{one.second - one.first:+.4f}"]
    ends = "{:+.3f} to {:+.3f}".format(*one.interval)
    return [*values, ends, f"{one.p_bootstrap:.4f}", f"{one.p_randomization:.4f}"]
