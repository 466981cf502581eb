"""Count contradictions within drafts: `python -m report_gen_training.benchmarks.draft_consistency CORPUS...`.

The studies of a split, including those outside the scope of the model, are drafted with each number of candidates. The
texts are audited for findings with contradictory states, degrees or sides, findings that only one of FINDINGS and
IMPRESSION states, findings that differ from the prediction, and the values of modality, plane and body part. The CPU
time of a draft includes reading and encoding its images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from rich.table import Table

from report_gen.auditing import DisagreementKind, find_contradictions, find_disagreements, findings_in_one_section
from report_gen.corpora import read_corpus
from report_gen.drafting import Drafter
from report_gen.errors import StudyError, UsageError
from report_gen.evaluation import Row, select_studies, study_from_row
from report_gen.generation import DEFAULT_DECODING, Decoding, mismatched_findings
from report_gen.labeling import contradicted_attributes, named_values
from report_gen.records import ATTRIBUTES, FindingSchema, FindingState, Section, SectionName
from report_gen.terminal import print_table, run_app, track

from ..data import is_held_out


@dataclass(frozen=True, kw_only=True)
class AuditedDraft:
    """Result of the audit of one draft."""

    text: str
    contradictions: int
    """Number of findings that one sentence states and another denies, or with contradictory degrees."""
    other_sides: int
    """Number of findings for which IMPRESSION names a side that FINDINGS does not."""
    only_findings: int
    """Number of abnormalities that FINDINGS states and IMPRESSION does not."""
    only_impression: int
    """Number of abnormalities that IMPRESSION states and FINDINGS does not."""
    mismatched: int
    """Number of findings whose states in the text and in the prediction differ."""
    named: Mapping[str, bool]
    """Whether the value that the text names first is right, by attribute; only attributes with a value and a label."""
    wrong_values: int
    """Number of attributes for which the text names a value that the image does not show."""
    seconds: float = 0.0
    """CPU time of the draft."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    drafter = Drafter.load(options.checkpoint)
    select = partial(
        select_rows, layout=options.layout, split=options.split, hold_out=options.hold_out, schema=drafter.schema
    )
    rows = [row for corpus in options.corpora for row in select(corpus)[: options.limit]]
    decoding = replace(DEFAULT_DECODING, method=options.method)
    columns = {
        f"{count} candidates": list(draft_rows(drafter, rows, replace(decoding, candidates=count)))
        for count in options.candidates
    }
    if not all(columns.values()):
        raise UsageError("no study can be read; correct the images")
    print_table(_table(columns))


def select_rows(corpus: str, *, layout: str | None, split: str, hold_out: float, schema: FindingSchema) -> list[Row]:
    """Return the studies of a corpus that are to be drafted.

    Args:
        corpus: Folder, or `FOLDER:SOURCE` for the studies of one source.
        layout: Layout of the corpus; None to recognize it.
        split: The split.
        hold_out: Share of the training patients that a recipe with this `hold_out` validates on, 0..1. If it is not 0,
            these patients are drafted instead of the split.
        schema: The findings of the model.
    """
    folder, _, source = corpus.partition(":")
    studies = read_corpus(Path(folder), layout=layout, schema=schema)
    rows = select_studies(studies, "train" if hold_out else split, source)
    return [row for row in rows if not hold_out or is_held_out(row["patient_id"], hold_out)]


def draft_rows(drafter: Drafter, rows: Sequence[Row], decoding: Decoding) -> Iterator[AuditedDraft]:
    """Draft studies one at a time and yield their audits; those that cannot be read are left out."""
    for row in track(rows, total=len(rows), description=f"{decoding.candidates} candidates"):
        began = time.process_time()
        try:
            (report,) = drafter.draft_all([study_from_row(row)], decoding=decoding, force=True)
        except StudyError:
            continue
        if not isinstance(report, StudyError):
            seconds = time.process_time() - began
            states = [finding.state for finding in report.findings]
            yield replace(audit_draft(report.describing_sections, states, row, drafter.schema), seconds=seconds)


def audit_draft(
    sections: Sequence[Section], states: Sequence[FindingState], row: Row, schema: FindingSchema
) -> AuditedDraft:
    """Return the numbers of contradictions and mismatches in a draft.

    Args:
        sections: FINDINGS and IMPRESSION of the draft, or one of them.
        states: The finding states [F] that conditioned the decoder.
        row: The study, with the true value of each attribute, "" for unknown.
        schema: The F findings of the model.
    """
    text = "\n".join(section.text for section in sections)
    disagreements = [one.kind for one in find_disagreements(sections, schema)]
    alone = findings_in_one_section(sections, schema)
    first = {name: next(iter(named_values(name, text)), "") for name in ATTRIBUTES if row[name]}
    return AuditedDraft(
        text=text,
        contradictions=len(find_contradictions(text, schema)) + disagreements.count(DisagreementKind.DEGREE),
        other_sides=disagreements.count(DisagreementKind.SIDE),
        only_findings=len(alone.get(SectionName.FINDINGS, ())),
        only_impression=len(alone.get(SectionName.IMPRESSION, ())),
        mismatched=len(mismatched_findings(text, states, schema)),
        named={name: value == row[name] for name, value in first.items() if value},
        wrong_values=len(contradicted_attributes(text, {name: row[name] for name in ATTRIBUTES})),
    )


def _table(columns: Mapping[str, Sequence[AuditedDraft]]) -> Table:
    table = Table(title=f"{len(next(iter(columns.values())))} drafts")
    table.add_column("")
    for heading in columns:
        table.add_column(heading, justify="right")
    cells = [dict(_figures(drafts)) for drafts in columns.values()]
    for name in dict.fromkeys(name for column in cells for name in column):
        table.add_row(name, *(column.get(name, "") for column in cells))
    return table


def _figures(drafts: Sequence[AuditedDraft]) -> Iterator[tuple[str, str]]:
    """Yield the rows of the table for the drafts of one column."""

    def count(found: Iterable[object]) -> str:
        return str(sum(map(bool, found)))

    yield "drafts with contradictory states or degrees", count(one.contradictions for one in drafts)
    yield "with another side in IMPRESSION", count(one.other_sides for one in drafts)
    yield "with a finding in only one section", count(one.only_findings + one.only_impression for one in drafts)
    yield "in FINDINGS only", count(one.only_findings for one in drafts)
    yield "in IMPRESSION only", count(one.only_impression for one in drafts)
    yield "mismatched findings per draft", f"{fmean([one.mismatched for one in drafts]):.3f}"
    for name in ATTRIBUTES:
        if named := [one.named[name] for one in drafts if name in one.named]:
            yield f"{name.replace('_', ' ')} right, of those named", f"{sum(named)} of {len(named)}"
    if any(one.named for one in drafts):
        yield "wrong values of attributes, in any place of the text", str(sum(one.wrong_values for one in drafts))
    yield "distinct drafts", str(len({one.text for one in drafts}))
    yield "CPU seconds per draft", f"{fmean([one.seconds for one in drafts]):.2f}"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", metavar="CORPUS", help="corpus with images, or CORPUS:SOURCE")
    parser.add_argument("--checkpoint", type=Path, help="default: the embedded checkpoint for chest radiographs")
    parser.add_argument("--layout", help="layout of the corpora; default: recognized")
    parser.add_argument("--split", default="val", help="split that is drafted")
    parser.add_argument("--hold-out", type=float, default=0.0, help="draft this share of the training patients instead")
    parser.add_argument("--limit", type=int, help="draft only the first studies of each corpus")
    parser.add_argument("--method", choices=("greedy", "beam", "sample"), default=DEFAULT_DECODING.method)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, DEFAULT_DECODING.candidates])
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
