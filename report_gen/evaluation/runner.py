"""Evaluate a model on a corpus: drafts with and without the studies' images against labels and reports.

Every study is drafted three times: from its own images, from those of another study (`shuffled`), and from uniformly
gray images (`blank`). The difference of the scores measures how much the model uses the image.

Reports are compared by their findings section alone, as is customary in the field. Labels are compared with the whole
draft. The 14 labels of ChestX-ray14, some of which are merged into one finding, are also scored by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from report_gen.corpora.nih_labels import NIH_LABELS, stated_labels
from report_gen.drafting import Drafter, DraftRequest
from report_gen.errors import CorpusError, StudyError
from report_gen.evaluation.finding_head import known_labels, score_finding_head
from report_gen.evaluation.image_use import shuffle_studies
from report_gen.evaluation.locations import AttentionCollector, BoxesByFinding, boxed_findings, score_boxes
from report_gen.evaluation.normal_drafts import count_normal_drafts
from report_gen.evaluation.results import Evaluation
from report_gen.evaluation.rows import Row, has_report, request_from_row, study_from_row
from report_gen.generation import Decoding
from report_gen.labeling import label_findings
from report_gen.metrics import (
    AttributePrediction,
    Difference,
    Floats,
    JoinedReports,
    LabelScores,
    Measure,
    ScoreMethod,
    ScoreRun,
    States,
    TrainingReports,
    attribute_measures,
    compare,
    count_values,
    finding_measures,
    load_preset,
    notice_empty,
    score_labels,
    score_texts,
)
from report_gen.records import ATTRIBUTES, AttributeName, FindingSchema, FindingState, Report, SectionName

OWN, SHUFFLED, BLANK = "own", "shuffled", "blank"
"""The images from which a draft is made."""

T = TypeVar("T")


DraftStudies = Callable[..., Iterator[Report | StudyError]]
"""`Drafter.draft_all` with its options."""


class Track(Protocol):
    """Passes items on and shows progress over `total` of them; `what` names the items."""

    def __call__(self, items: Iterable[T], total: int, what: str, /) -> Iterable[T]: ...


def evaluate(
    drafter: Drafter,
    rows: Sequence[Row],
    *,
    decoding: Decoding,
    method: ScoreMethod,
    training: TrainingReports | None = None,
    nearest: Sequence[Row] = (),
    boxes: BoxesByFinding | None = None,
    nih_labels: Mapping[str, frozenset[str]] | None = None,
    track: Track = lambda items, _total, _what: items,
) -> Evaluation:
    """Draft every study with its own and with control images, and score the drafts against labels and reports.

    Args:
        drafter: The model.
        rows: Studies from `select_studies`.
        decoding: How drafts are generated.
        method: How texts are scored; its draws and seed are used for every score.
        training: Training reports from `training_reports`, for the baselines.
        nearest: Training studies from `nearest_candidates`, for the image 1-NN baseline by the model's own image
            features; without any, this baseline is left out.
        boxes: Boxes of training studies from `training_boxes`, for the class centers that locations are compared with.
        nih_labels: Labels by study from `corpora.read_nih_labels`; None for other corpora.
        track: Shows progress.

    Raises:
        UsageError: The preset or an optional metric is unknown.
        CorpusError: Fewer than two studies have images that can be read.
    """
    load_preset(method.preset)  # an unknown preset must fail before the drafting, which takes long
    boxed = boxed_findings(rows, drafter.reported)
    attention = {images: AttentionCollector(boxed) for images in (OWN, SHUFFLED, BLANK)}
    draft = partial(drafter.draft_all, decoding=decoding, force=True)
    drafted, refused = _draft_own(partial(draft, on_attention=attention[OWN]), rows, track)
    controls = {
        images: _draft_control(partial(draft, on_attention=attention[images]), images, drafted, method.seed, track)
        for images in (SHUFFLED, BLANK)
    }
    drafts = {OWN: [one.report for one in drafted], **controls}
    rows = [one.row for one in drafted]
    features = _features(drafter, [*nearest, *rows], track) if nearest else None
    labels = [known_labels(row, method.schema) for row in rows]
    attributes: list[Mapping[AttributeName, str]] = [{name: row[name] for name in ATTRIBUTES} for row in rows]
    return Evaluation(
        schema=method.schema,
        drafts={one.row["study_id"]: _full_text(one.report) for one in drafted},
        refused=tuple(refused),
        label_support=_count_labels(labels, method.schema),
        labels=_compare_with_labels(labels, drafts, method),
        nih_labels=None if nih_labels is None else _compare_with_nih_labels(rows, drafts, nih_labels, method),
        normal_drafts=count_normal_drafts(labels, list(map(_full_text, drafts[OWN])), method.schema),
        attribute_support=count_values(attributes),
        attributes=_compare_with_attributes(attributes, [row["findings"] for row in rows], drafts, method),
        finding_head=score_finding_head([row["study_id"] for row in rows], labels, drafts[OWN], controls, method),
        locations=score_boxes(rows, drafts, attention, boxes or {}, own=OWN, method=method),
        reports=_compare_with_reports(rows, drafts, method, training, features),
    )


@dataclass(frozen=True)
class _DraftedStudy:
    """A corpus row, its images and the draft from them."""

    row: Row
    request: DraftRequest
    report: Report


def _draft_own(draft: DraftStudies, rows: Sequence[Row], track: Track) -> tuple[list[_DraftedStudy], list[StudyError]]:
    """Draft every study from its own images; studies that cannot be read are returned as errors.

    Raises:
        CorpusError: Fewer than two studies can be read.
    """
    readable: list[tuple[Row, DraftRequest]] = []
    drafted: list[_DraftedStudy] = []
    refused: list[StudyError] = []
    for row in rows:
        try:
            readable.append((row, request_from_row(row)))
        except StudyError as error:
            refused.append(error)
    reports = draft([request for _, request in readable])
    for (row, request), report in zip(readable, track(reports, len(readable), "own images"), strict=True):
        if isinstance(report, StudyError):
            refused.append(report)
        else:
            drafted.append(_DraftedStudy(row, request, report))
    if len(drafted) < 2:
        raise CorpusError(
            f"fewer than two studies have images that can be read; the first error: {refused[0]}; correct the files"
        )
    return drafted, refused


def _draft_control(
    draft: DraftStudies, control: str, drafted: Sequence[_DraftedStudy], seed: int, track: Track
) -> list[Report]:
    """Draft every study with control images: those of another study and its prior study, or blank images."""
    shown = [one.request for one in drafted]
    if control == SHUFFLED:
        sources = [shown[source] for source in shuffle_studies(len(shown), seed)]
        shown = [
            replace(one, study=replace(one.study, series=source.study.series), priors=source.priors)
            for one, source in zip(shown, sources, strict=True)
        ]
    drafts = draft(shown, blank=control == BLANK)
    return list(map(_report_or_raise, track(drafts, len(shown), f"{control} images")))


def _report_or_raise(draft: Report | StudyError) -> Report:
    if isinstance(draft, StudyError):
        raise draft
    return draft


def _features(drafter: Drafter, rows: Sequence[Row], track: Track) -> dict[str, Floats]:
    """Compute image features [D_img] by study id; studies that cannot be read are left out."""
    readable = []
    for row in rows:
        with suppress(StudyError):
            readable.append((row["study_id"], study_from_row(row)))
    features = drafter.features([study for _, study in readable])
    tracked = track(features, len(readable), "the nearest training image")
    pairs = zip((name for name, _ in readable), tracked, strict=True)
    return {name: one for name, one in pairs if not isinstance(one, StudyError)}


def _count_labels(labels: Sequence[States], schema: FindingSchema) -> dict[str, int]:
    return {name: sum(label.get(name) is FindingState.PRESENT for label in labels) for name in schema.findings}


def _compare_with_labels(
    labels: Sequence[States], drafts: Mapping[str, Sequence[Report]], method: ScoreMethod
) -> dict[str, tuple[Difference, ...]]:
    known = [label for label in labels if label]
    if not known:
        return {}

    def measure(reports: Sequence[Report]) -> tuple[Measure, ...]:
        pairs = zip(reports, labels, strict=True)
        stated = [_stated_findings(report, label, method.schema) for report, label in pairs if label]
        return finding_measures(stated, known, schema=method.schema)

    return _compare_with_controls(drafts, measure, method)


def _compare_with_nih_labels(
    rows: Sequence[Row],
    drafts: Mapping[str, Sequence[Report]],
    labels: Mapping[str, frozenset[str]],
    method: ScoreMethod,
) -> LabelScores:
    stated = {images: [stated_labels(_full_text(report)) for report in reports] for images, reports in drafts.items()}
    own = stated.pop(OWN)
    truth = [labels[row["study_id"]] for row in rows]
    return score_labels(NIH_LABELS, truth, own, stated, draws=method.draws, seed=method.seed)


def _compare_with_attributes(
    attributes: Sequence[Mapping[AttributeName, str]],
    references: Sequence[str],
    drafts: Mapping[str, Sequence[Report]],
    method: ScoreMethod,
) -> dict[str, tuple[Difference, ...]]:
    def measure(reports: Sequence[Report]) -> tuple[Measure, ...]:
        return attribute_measures(attributes, references, [_predicted_attributes(report) for report in reports])

    return _compare_with_controls(drafts, measure, method)


def _compare_with_controls(
    drafts: Mapping[str, Sequence[Report]],
    measure: Callable[[Sequence[Report]], tuple[Measure, ...]],
    method: ScoreMethod,
) -> dict[str, tuple[Difference, ...]]:
    """Compute the scores with own images minus the scores with each control; empty if there are no scores."""
    own = measure(drafts[OWN])
    if not own:
        return {}
    return {
        images: compare(measure(reports), own, method.draws, method.seed)
        for images, reports in drafts.items()
        if images != OWN
    }


def _compare_with_reports(
    rows: Sequence[Row],
    drafts: Mapping[str, Sequence[Report]],
    method: ScoreMethod,
    training: TrainingReports | None,
    features: Mapping[str, Floats] | None,
) -> ScoreRun | None:
    indices = [index for index, row in enumerate(rows) if has_report(row)]
    if not indices:
        return None
    ids, references = (tuple(rows[index][column] for index in indices) for column in ("study_id", "findings"))
    texts = {images: tuple(_findings_text(reports[index]) for index in indices) for images, reports in drafts.items()}
    own = texts.pop(OWN)
    joined = JoinedReports(ids=ids, predictions=own, references=references, notices=tuple(notice_empty(own)))
    return score_texts(joined, method, training=training, features=features, controls=texts)


def _full_text(draft: Report) -> str:
    return "\n".join(section.text for section in draft.describing_sections)


def _findings_text(draft: Report) -> str:
    return " ".join(section.text for section in draft.sections if section.name is SectionName.FINDINGS)


def _stated_findings(draft: Report, labels: States, schema: FindingSchema) -> States:
    """Label a draft, restricted to the findings that the corpus labels; the others have no reference."""
    return {name: state for name, state in label_findings(_full_text(draft), schema).items() if name in labels}


def _predicted_attributes(draft: Report) -> AttributePrediction:
    predicted = {attribute.name: attribute.predicted for attribute in draft.attributes}
    return AttributePrediction(draft=_findings_text(draft), predicted=predicted)
