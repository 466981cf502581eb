"""Compare the labeler with captions that a reader coded by hand.

    python -m report_gen_training.benchmarks.caption_agreement tests/labeling/medpix_captions.tsv ../shared/data/medpix2

The table names images and the findings that their captions state as present, uncertain and absent; findings that are
not named are not stated. The captions themselves are in the corpus. Printed are precision and recall of the findings
that the labeler calls present, with 95% Wilson intervals, and every caption that differs with `--verbose`.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.labeling import finding_labeler, load_schema
from report_gen.records import FindingSchema, FindingState
from report_gen.terminal import run_app

from .labeler_agreement import Agreement, count_agreement, pool
from .labeler_codings import CodedReport

STATES = (FindingState.PRESENT, FindingState.UNCERTAIN, FindingState.ABSENT)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises CorpusError if a coded image is not in the corpus."""
    options = _parse(arguments)
    schema = load_schema(options.schema)
    stated = read_coded_captions(options.coded, options.corpus)
    label = finding_labeler(schema).label
    labels = [label(caption) for caption, _ in stated]
    console = Console(width=150)
    if options.verbose:
        for (caption, coded), labeled in zip(stated, labels, strict=True):
            for line in differences(schema, coded, labeled):
                console.print(f"{line}\n    {caption}", markup=False, highlight=False)
    console.print(_table(schema, stated, labels))


def read_coded_captions(table: Path, corpus: Path) -> list[tuple[str, dict[str, FindingState]]]:
    """Return the captions that a reader coded, each with the state of every finding that it states.

    Args:
        table: TSV with the columns image, present, uncertain, absent; findings are separated by `; `.
        corpus: Folder in the layout `medpix`.

    Raises:
        CorpusError: An image of the table is not in the corpus.
    """
    captions = {row["study_id"]: row["findings"] for row in read_corpus(corpus, layout="medpix")}
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))
    if missing := [row["image"] for row in rows if row["image"] not in captions]:
        raise CorpusError(f"{table}: the image {missing[0]} is not in {corpus}; give the corpus that was coded")
    return [
        (captions[row["image"]], {name: state for state in STATES for name in filter(None, row[state].split("; "))})
        for row in rows
    ]


def count_captions(
    stated: Sequence[tuple[str, Mapping[str, FindingState]]], labels: Sequence[Mapping[str, FindingState]], finding: str
) -> Agreement:
    """Count how often labeler and reader agree that a caption states a finding as present."""
    coded = [CodedReport(text=caption, coded={finding: states.get(finding) is STATES[0]}) for caption, states in stated]
    return count_agreement(coded, labels, finding, (FindingState.PRESENT,))


def differences(
    schema: FindingSchema, coded: Mapping[str, FindingState], labeled: Mapping[str, FindingState]
) -> list[str]:
    """Return how the states of one caption differ, one line per finding."""
    pairs = {name: (labeled[name], coded.get(name, FindingState.NOT_MENTIONED)) for name in schema.stated}
    return [f"{name}: {found} instead of {right}" for name, (found, right) in pairs.items() if found is not right]


def _table(
    schema: FindingSchema,
    stated: Sequence[tuple[str, Mapping[str, FindingState]]],
    labels: Sequence[Mapping[str, FindingState]],
) -> Table:
    table = Table("finding", "support", "precision", "recall", "F1", title=f"{len(stated)} captions, findings present")
    counts = {name: count_captions(stated, labels, name) for name in schema.stated}
    for name, count in counts.items():
        table.add_row(name, *_cells(count))
    table.add_section()
    table.add_row("micro mean", *_cells(pool(counts.values())))
    return table


def _cells(count: Agreement) -> tuple[str, str, str, str]:
    precision, recall = (
        _share(count.both, trials) for trials in (count.both + count.labeled_only, count.both + count.coded_only)
    )
    return str(count.support), precision, recall, f"{count.f1:.2f}" if count.support else ""


def _share(successes: int, trials: int) -> str:
    if not trials:
        return ""
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return f"{successes}/{trials} = {successes / trials:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("coded", type=Path, metavar="TSV", help="images and the findings of their captions")
    parser.add_argument("corpus", type=Path, metavar="FOLDER", help="corpus in the layout medpix")
    parser.add_argument("--schema", default="ct_mr", help="finding schema by name, or a findings file")
    parser.add_argument("--verbose", action="store_true", help="print every caption that differs")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
