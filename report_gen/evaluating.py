"""Does a model say what its images show? Drafts of a labelled corpus against its labels, and from shuffled images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from report_gen.drafting import Drafter
from report_gen.errors import CorpusError, StudyError
from report_gen.findings import label_findings
from report_gen.generation import Decoding
from report_gen.reading import read_study
from report_gen.report import FINDINGS, FindingState, Report
from report_gen.scoring.finding_scores import average_name, finding_measures, label_name
from report_gen.scoring.image_use import shuffle
from report_gen.scoring.noise import Difference, compare
from report_gen.study import Study, ViewPosition

States = Mapping[str, FindingState]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the drafts of a corpus are worth."""

    texts: Mapping[str, str]
    """Draft by study id."""
    support: Mapping[str, int]
    """Studies with each finding that the corpus knows."""
    differences: Mapping[str, Difference]
    """By full name of the score: `first` from another study's images, `second` from the study's own."""

    @property
    def distinct(self) -> int:
        """Different texts."""
        return len(set(self.texts.values()))

    @property
    def commonest(self) -> float:
        """Share of the commonest text, 0..1."""
        return max(Counter(self.texts.values()).values()) / len(self.texts)


def evaluate(
    drafter: Drafter,
    rows: Iterable[Mapping[str, Any]],
    *,
    decoding: Decoding,
    draws: int = 2000,
    seed: int = 0,
    track: Callable[[Iterable[Report | StudyError], int], Iterable[Report | StudyError]],
) -> Evaluation:
    """Draft every study of a corpus from its own images and from another study's, and hold both against its labels.

    Args:
        rows: of `read_corpus`; those without images or labels are left out.
        draws: resamplings of the paired bootstrap.
        seed: of the shuffling and the bootstrap.
        track: shows progress over drafts, given their number.

    Raises:
        CorpusError: fewer than two rows have images and labels.
        StudyError: an image cannot be read.
    """
    rows = [row for row in rows if row["images"] and any(label is not None for label in row["labels"])]
    if len(rows) < 2:
        raise CorpusError("fewer than two studies with images and labels; name a corpus and a split that have them")
    own = [study_from_row(row) for row in rows]
    shuffled = [replace(own[place], series=own[giver].series) for place, giver in enumerate(shuffle(len(own), seed))]
    drafts = list(track(drafter.draft_all([*own, *shuffled], decoding=decoding), 2 * len(rows)))
    texts = [_text(draft) for draft in drafts]
    labels = [_labels(row) for row in rows]
    from_own, from_shuffled = (
        finding_measures([_read(text, label) for text, label in zip(side, labels, strict=True)], labels)
        for side in (texts[: len(rows)], texts[len(rows) :])
    )
    return Evaluation(
        texts={row["study_id"]: text for row, text in zip(rows, texts, strict=False)},
        support={name: sum(label.get(name) is FindingState.PRESENT for label in labels) for name in FINDINGS},
        differences={one.name: one for one in compare(from_shuffled, from_own, draws, seed)},
    )


def render(evaluation: Evaluation) -> RenderableType:
    """The figures that matter as a table: own images against shuffled ones."""
    table = Table("score", "own images", "shuffled images", "difference, 95% interval", "p", "support")
    for name, difference in _shown(evaluation):
        low, high = difference.interval
        table.add_row(
            name,
            f"{difference.second:.3f}",
            f"{difference.first:.3f}",
            f"{difference.second - difference.first:+.3f} ({low:+.3f} to {high:+.3f})",
            f"{difference.p_bootstrap:.4f}",
            str(evaluation.support.get(name.partition(" F1")[0], "")),
        )
    variety = f"{len(evaluation.texts)} studies, {evaluation.distinct} distinct drafts, the commonest for "
    return Group(table, f"{variety}{evaluation.commonest:.1%} of them")


def format_json(evaluation: Evaluation) -> str:
    """Everything, for machines."""
    document = {
        "studies": len(evaluation.texts),
        "distinct": evaluation.distinct,
        "commonest": evaluation.commonest,
        "support": evaluation.support,
        "scores": {name: asdict(difference) for name, difference in evaluation.differences.items()},
        "drafts": evaluation.texts,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _shown(evaluation: Evaluation) -> Iterator[tuple[str, Difference]]:
    averages = [average_name(average, "F1", 14, "uncertain-") for average in ("macro", "micro")]
    singles = [label_name(finding, "F1", "uncertain-") for finding in FINDINGS if evaluation.support[finding]]
    for name in (*averages, *singles):
        yield name, evaluation.differences[name]


def study_from_row(row: Mapping[str, Any]) -> Study:
    """The images of a corpus row as one study, with the views that the corpus gives them."""
    series = []
    for path, view in zip(row["images"], row["view_positions"], strict=True):
        (one,) = read_study(Path(path)).series
        images = tuple(replace(image, view_position=ViewPosition(view)) for image in one.images)
        series.append(replace(one, images=images))
    return Study(name=row["study_id"], series=tuple(series), indication=row["indication"] or None)


def _text(draft: Report | StudyError) -> str:
    if isinstance(draft, StudyError):
        raise draft
    return "\n".join(section.text for section in draft.sections)


def _labels(row: Mapping[str, Any]) -> States:
    """The labels that the corpus has, as states."""
    return {
        name: FindingState.PRESENT if label > 0.5 else FindingState.ABSENT
        for name, label in zip(FINDINGS, row["labels"], strict=True)
        if label is not None
    }


def _read(text: str, known: States) -> States:
    """What a text says of the findings that the corpus knows; of the others nothing can be held against it."""
    return {name: state for name, state in label_findings(text).items() if name in known}
