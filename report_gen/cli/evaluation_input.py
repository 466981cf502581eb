"""The corpus of `report-gen evaluate`: its options, and the studies that are drafted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.cli.options import parse_columns
from report_gen.errors import UsageError

if TYPE_CHECKING:
    from report_gen.evaluation import EvaluationCorpus
    from report_gen.records import FindingSchema


@dataclass(frozen=True, kw_only=True)
class CorpusChoice:
    """The corpus that a user chose, and which of its studies are drafted. For the fields see `evaluate`."""

    path: Path
    layout: str | None
    columns: Sequence[str] | None
    split: str
    source: str
    label_reports: bool
    nearest: bool
    report_options: tuple[str, ...]
    """Options of the command line that need reports."""

    def read(self, schema: FindingSchema, store: Path) -> EvaluationCorpus:
        """Read the corpus.

        Args:
            schema: The findings of the labels and scores.
            store: Folder for images of the corpus, which must exist as long as the studies are drafted.

        Raises:
            UsageError: An option needs reports, and none of the studies has one.
            CorpusError: The corpus cannot be read, or has fewer than two such studies.
        """
        from report_gen import evaluation
        from report_gen.corpora import read_corpus, read_nih_labels

        studies = list(
            read_corpus(
                self.path,
                layout=self.layout,
                require_images=None,  # a study with a missing image is refused like one with an unreadable image
                store=store,
                schema=schema,
                columns=parse_columns(self.columns),
            )
        )
        rows = evaluation.select_studies(studies, self.split, self.source)
        if self.label_reports:
            rows = evaluation.label_reports(rows, schema)
        if self.report_options and not any(map(evaluation.has_report, rows)):
            options = " and ".join(self.report_options)
            verb = "show" if len(self.report_options) > 1 else "shows"
            raise UsageError(
                f"{options} {verb} reports, and none of these studies has a report with findings; use --json"
            )
        labels = read_nih_labels(self.path, layout=self.layout)
        return evaluation.EvaluationCorpus.collect(studies, rows, schema, nearest=self.nearest, nih_labels=labels)
