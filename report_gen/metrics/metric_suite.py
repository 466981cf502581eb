"""A model's drafts or a baseline's, and every measure of them against the same references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from report_gen.metrics.finding_scores import States, finding_measures, label_reports
from report_gen.metrics.measure import Measure
from report_gen.metrics.pairs import Pairs
from report_gen.metrics.score import TEXT_MEASURES
from report_gen.records.findings import FindingSchema


@dataclass(frozen=True, kw_only=True)
class Drafts:
    """One text for every study."""

    name: str
    texts: Sequence[str]
    """As written: the findings are read from these."""
    prepared: Sequence[str]
    """In the preset's form: the wording is compared on these."""


@dataclass(frozen=True, kw_only=True)
class MetricResults:
    """Drafts with all their measures."""

    drafts: Drafts
    measures: tuple[Measure, ...]
    states: Sequence[States]
    """What each draft says of the findings."""

    def holding(self, names: Sequence[str]) -> tuple[Measure, ...]:
        """The measures that hold at least one of these scores."""
        return tuple(measure for measure in self.measures if set(names) & set(measure.names))


class MetricSuite:
    """The references and the instruments that are held against them.

    Beside the measures of the wording and the findings there may be `wording` measures that need a program, such as
    METEOR 1.5, and `written` ones on the texts as they were written, such as BERTScore.
    """

    def __init__(
        self,
        references: Drafts,
        *,
        wording: Sequence[Callable[[Pairs], Measure]] = (),
        written: Sequence[Callable[[Sequence[str], Sequence[str]], tuple[Measure, ...]]] = (),
        schema: FindingSchema | None = None,
    ) -> None:
        self._references, self._schema = references, schema
        self._wording = (*TEXT_MEASURES.values(), *wording)
        self._written = written
        self.states = label_reports(references.texts, schema=schema)

    def measure(self, drafts: Drafts) -> MetricResults:
        pairs = Pairs(drafts.prepared, self._references.prepared)
        states = label_reports(drafts.texts, schema=self._schema)
        measures = [instrument(pairs) for instrument in self._wording]
        measures += finding_measures(states, self.states, schema=self._schema)
        for instrument in self._written:
            measures += instrument(drafts.texts, self._references.texts)
        return MetricResults(drafts=drafts, measures=tuple(measures), states=states)
