"""Compare the labeler with coded reports: `python -m report_gen_training.benchmarks.labeler_agreement --mesh TGZ`.

Every collection that is given gets one table: precision, recall and F1 of the findings that the labeler calls present,
and of those that it calls present or uncertain. MeSH codes have a side and a zone as well, which get a second table.
`--sentences` takes tables of sentences with the columns kind, text, present, absent, uncertain, and a last column of
findings that are not judged.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from report_gen.errors import UsageError
from report_gen.labeling import (
    FindingLabeler,
    chest_xray,
    find_mentions,
    finding_labeler,
    label_findings,
    locate_findings,
    sentence_spans,
)
from report_gen.records import FindingLocation, FindingState, Side, Zone
from report_gen.terminal import run_app

from .labeler_codings import (
    CodedReport,
    read_mesh,
    read_negbio,
    read_rad_restruct,
    read_radlabels,
)

MINIMUM_SUPPORT = 30
"""A finding with fewer coded reports is left out of the means."""


@dataclass(frozen=True)
class Agreement:
    """Counts of reports for one finding."""

    both: int
    labeled_only: int
    coded_only: int

    @property
    def precision(self) -> float:
        """Share of the labeled reports that are coded."""
        return self.both / max(1, self.both + self.labeled_only)

    @property
    def recall(self) -> float:
        """Share of the coded reports that are labeled."""
        return self.both / max(1, self.both + self.coded_only)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.both / max(1, 2 * self.both + self.labeled_only + self.coded_only)

    @property
    def support(self) -> int:
        """Number of coded reports."""
        return self.both + self.coded_only


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises UsageError for missing files."""
    options = _parse(arguments)
    archive = options.mesh
    if archive is None and (options.negbio or options.rad_restruct):
        raise UsageError("--negbio and --rad-restruct code the reports of --mesh; give NLMCXR_reports.tgz as well")
    if archive is not None:
        reports = read_mesh(archive)
        _print_agreement("MeSH", reports, like_mesh=True)
        _print_locations("MeSH: locations", reports)
    if options.negbio:
        _print_agreement("NegBio", read_negbio(archive, options.negbio))
    if options.rad_restruct:
        _print_agreement("Rad-ReStruct", read_rad_restruct(archive, options.rad_restruct), like_mesh=True)
    if options.radlabels:
        _print_agreement("radlabels", read_radlabels(options.radlabels))
    for table in options.sentences:
        _print_sentences(table, verbose=options.verbose)


def mesh_rule(finding: str) -> tuple[FindingState, ...]:
    """Return the states that the coders of the Indiana University reports coded.

    A pneumonia and a normal study are coded only if certain: "may be pneumonia" is coded as Opacity. Other findings are
    coded if uncertain as well.
    """
    certain = finding in ("Pneumonia", chest_xray().normal)
    return (FindingState.PRESENT,) if certain else (FindingState.PRESENT, FindingState.UNCERTAIN)


def count_agreement(
    reports: Sequence[CodedReport],
    labels: Sequence[Mapping[str, FindingState]],
    finding: str,
    states: Iterable[FindingState],
) -> Agreement:
    """Count how often label and code of a finding agree.

    Args:
        reports: The coded reports.
        labels: The states that the labeler reads from each report.
        finding: The finding.
        states: The states that count as labeled.
    """
    counted = tuple(states)
    outcomes = Counter(
        (label[finding] in counted, report.coded[finding])
        for report, label in zip(reports, labels, strict=True)
        if finding in report.coded
    )
    return Agreement(outcomes[True, True], outcomes[True, False], outcomes[False, True])


def count_locations(
    reports: Sequence[CodedReport], locations: Sequence[Mapping[str, FindingLocation]]
) -> dict[str, Agreement]:
    """Count how often label and code agree in each side and zone of a finding.

    Only findings are counted that text and codes of a report both have. A code may leave out what the text says.

    Args:
        reports: Reports with coded locations.
        locations: The locations that the labeler reads from each report.

    Returns:
        The counts of findings, by right, left, both, upper, mid and lower.
    """
    unlocated = finding_labeler(chest_xray()).vocabulary.unlocated
    pairs = [
        (labeled[finding], coded)
        for report, labeled in zip(reports, locations, strict=True)
        for finding, coded in report.located.items()
        if finding in labeled and finding not in unlocated
    ]
    counts: dict[str, Agreement] = {}
    for part in (Side.RIGHT, Side.LEFT, Side.BOTH, *Zone):
        outcomes = Counter((_names_part(labeled, part), _names_part(coded, part)) for labeled, coded in pairs)
        counts[part] = Agreement(outcomes[True, True], outcomes[True, False], outcomes[False, True])
    return counts


def _names_part(location: FindingLocation, part: Side | Zone) -> bool:
    return part is location.side or part in location.zones


def pool(agreements: Iterable[Agreement]) -> Agreement:
    """Return the sum of several findings, for micro means."""
    listed = list(agreements)
    return Agreement(*(sum(getattr(one, name) for one in listed) for name in ("both", "labeled_only", "coded_only")))


def sentence_faults(row: Mapping[str, str]) -> list[str]:
    """Return how the labels of a sentence differ from the right ones; empty if they agree.

    Args:
        row: One row of a table of sentences. "No Finding" is not judged.
    """
    right = {
        name: state
        for state in (FindingState.PRESENT, FindingState.ABSENT, FindingState.UNCERTAIN)
        for name in _names(row[state.value])
    }
    skipped = set(_names(list(row.values())[-1]))
    labels = label_findings(row["text"].replace("\\n", "\n"))
    return [
        f"{name}: {labels[name]} instead of {expected}"
        for name in chest_xray().stated
        if name not in skipped and labels[name] is not (expected := right.get(name, FindingState.NOT_MENTIONED))
    ]


def read_sentences(table: Path) -> list[dict[str, str]]:
    """Return the rows of a table of sentences."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))
    return [{name.lstrip("# ").split(" (")[0]: value for name, value in row.items()} for row in rows]


def _names(cell: str) -> list[str]:
    return [name for name in cell.split("; ") if name]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", type=Path, metavar="TGZ", help="NLMCXR_reports.tgz with its MeSH codes")
    parser.add_argument("--negbio", type=Path, metavar="CSV", help="openi_gld_std14.csv of NegBio")
    parser.add_argument("--rad-restruct", type=Path, metavar="FOLDER", help="folder new_reports of Rad-ReStruct")
    parser.add_argument("--radlabels", type=Path, metavar="WHEEL", help="wheel of radlabels 0.2.0")
    parser.add_argument("--sentences", type=Path, nargs="*", default=[], metavar="TSV", help="tables of sentences")
    parser.add_argument("--verbose", action="store_true", help="print every sentence with a wrong label")
    return parser.parse_args(arguments)


def _print_agreement(title: str, reports: Sequence[CodedReport], *, like_mesh: bool = False) -> None:
    labeler = FindingLabeler(chest_xray())  # a new one, because a labeler caches the sentences that it has read
    began = time.process_time()
    labels = [labeler.label(report.text) for report in reports]
    seconds = time.process_time() - began
    certain, either = (FindingState.PRESENT,), (FindingState.PRESENT, FindingState.UNCERTAIN)
    table = Table("finding", "support", "present: P", "R", "F1", "or uncertain: P", "R", "F1", title=title)
    columns: tuple[list[Agreement], list[Agreement]] = ([], [])
    findings = [name for name in chest_xray().findings if any(report.coded.get(name) for report in reports)]
    for name in findings:
        wide = mesh_rule(name) if like_mesh else either
        pair = [count_agreement(reports, labels, name, states) for states in (certain, wide)]
        table.add_row(name, str(pair[0].support), *(cell for one in pair for cell in _cells(one)))
        if pair[0].support >= MINIMUM_SUPPORT:
            columns[0].append(pair[0])
            columns[1].append(pair[1])
    table.add_section()
    table.add_row("micro mean", "", *(cell for column in columns for cell in _cells(pool(column))))
    console = Console(width=110)
    console.print(table)
    silent = sum(not find_mentions(report.text) for report in reports)
    sentences = sum(1 for report in reports for _ in sentence_spans(report.text))
    console.print(
        f"{len(reports)} reports, {silent} without a mention; {sentences} sentences, "
        f"{sentences / seconds:.0f} per second\n"
    )


def _print_locations(title: str, reports: Sequence[CodedReport]) -> None:
    counts = count_locations(reports, [locate_findings(report.text) for report in reports])
    table = Table("side or zone", "support", "P", "R", "F1", title=title)
    for part, agreement in counts.items():
        table.add_row(part, str(agreement.support), *_cells(agreement))
    Console(width=110).print(table)


def _cells(agreement: Agreement) -> tuple[str, str, str]:
    return f"{agreement.precision:.3f}", f"{agreement.recall:.3f}", f"{agreement.f1:.3f}"


def _print_sentences(path: Path, *, verbose: bool) -> None:
    rows = read_sentences(path)
    table = Table("kind", "right", "of", title=path.name)
    right: Counter[str] = Counter()
    console = Console(width=160)
    for row in rows:
        faults = sentence_faults(row)
        right[row["kind"]] += not faults
        if faults and verbose:
            console.print(f"{row['kind']}: {row['text']}\n    {'; '.join(faults)}", markup=False, highlight=False)
    for kind, total in Counter(row["kind"] for row in rows).items():
        table.add_row(kind, str(right[kind]), str(total))
    table.add_section()
    table.add_row("all", str(right.total()), str(len(rows)))
    console.print(table)


if __name__ == "__main__":
    run_app(main)
