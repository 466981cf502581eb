"""The part of a corpus that an evaluation needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from report_gen.evaluation.locations import BoxesByFinding, training_boxes
from report_gen.evaluation.rows import Row, nearest_candidates, training_reports
from report_gen.metrics import TrainingReports
from report_gen.records import FindingSchema


@dataclass(frozen=True, kw_only=True)
class EvaluationCorpus:
    """Studies to be drafted, and what their drafts are compared with. For the fields see `evaluate`."""

    schema: FindingSchema
    """The findings with which the corpus was read."""
    rows: tuple[Row, ...]
    training: TrainingReports | None = None
    nearest: tuple[Row, ...] = ()
    boxes: BoxesByFinding | None = None
    nih_labels: Mapping[str, frozenset[str]] | None = None

    @classmethod
    def collect(
        cls,
        studies: Sequence[Row],
        rows: Sequence[Row],
        schema: FindingSchema,
        *,
        nearest: bool,
        nih_labels: Mapping[str, frozenset[str]] | None,
    ) -> EvaluationCorpus:
        """Collect training reports and boxes of a corpus for the evaluation of some of its studies.

        Args:
            studies: All studies of the corpus.
            rows: The studies to be drafted.
            schema: The findings with which the corpus was read.
            nearest: Whether the image 1-NN baseline is computed.
            nih_labels: Labels by study from `corpora.read_nih_labels`; None for other corpora.
        """
        return cls(
            schema=schema,
            rows=tuple(rows),
            training=training_reports(studies, rows),
            nearest=tuple(nearest_candidates(studies, rows)) if nearest else (),
            boxes=training_boxes(studies, rows),
            nih_labels=nih_labels,
        )
