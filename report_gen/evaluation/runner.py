"""Evaluate a model on a corpus: drafts with and without the studies' images against labels and reports.

Every study is drafted three times: from its own images, from those of another study (`shuffled`), and from uniformly
gray images (`blank`). The difference of the scores measures how much the model uses the image.

Reports are compared by their findings section alone, as is customary in the field. Labels are compared with the whole
draft. The 14 labels of ChestX-ray14, some of which are merged into one finding, are also scored by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from report_gen.corpora.nih_labels import NIH_LABELS, stated_labels
from report_gen.drafting import Drafter
from report_gen.evaluation.corpus_drafts import OWN, CorpusDrafts, Track, draft_corpus
from report_gen.evaluation.finding_head import known_labels, score_finding_head
from report_gen.evaluation.locations import BoxesByFinding, score_boxes
from report_gen.evaluation.normal_drafts import count_normal_drafts
from report_gen.evaluation.results import Evaluation
from report_gen.evaluation.rows import Row, has_report
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
        CorpusError: Fewer than two studies could be drafted.
    """
    load_preset(method.preset)  # an unknown preset must fail before the drafting, which takes long
    drafts = draft_corpus(drafter, rows, decoding=decoding, seed=method.seed, nearest=nearest, track=track)
    return score_drafts(drafts, method, training=training, boxes=boxes, nih_labels=nih_labels)


def score_drafts(
    drafts: CorpusDrafts,
    method: ScoreMethod,
    *,
    training: TrainingReports | None = None,
    boxes: BoxesByFinding | None = None,
    nih_labels: Mapping[str, frozenset[str]] | None = None,
) -> Evaluation:
    """Score the drafts of a model. For the other arguments and the errors see `evaluate`.

    Args:
        drafts: Drafts from `draft_corpus`, of two or more studies.
        method: As in `evaluate`.
        training: As in `evaluate`.
        boxes: As in `evaluate`.
        nih_labels: As in `evaluate`.
    """
    rows, reports = drafts.rows, drafts.reports
    controls = {images: of_images for images, of_images in reports.items() if images != OWN}
    labels = [known_labels(row, method.schema) for row in rows]
    attributes: list[Mapping[AttributeName, str]] = [{name: row[name] for name in ATTRIBUTES} for row in rows]
    texts = list(map(full_text, reports[OWN]))
    return Evaluation(
        schema=method.schema,
        drafts=dict(zip(drafts.ids, texts, strict=True)),
        refused=tuple(drafts.refused.values()),
        without_draft=tuple(drafts.without_draft.values()),
        label_support=_count_labels(labels, method.schema),
        labels=_compare_with_labels(labels, reports, method),
        nih_labels=None if nih_labels is None else _compare_with_nih_labels(rows, reports, nih_labels, method),
        normal_drafts=count_normal_drafts(labels, texts, method.schema),
        attribute_support=count_values(attributes),
        attributes=_compare_with_attributes(attributes, [row["findings"] for row in rows], reports, method),
        finding_head=score_finding_head(drafts.ids, labels, reports[OWN], controls, method),
        locations=score_boxes(rows, reports, drafts.attention, boxes or {}, own=OWN, method=method),
        reports=_compare_with_reports(rows, reports, method, training, drafts.features),
    )


def label_measures(labels: Sequence[States], reports: Sequence[Report], schema: FindingSchema) -> tuple[Measure, ...]:
    """Compute the finding measures of drafts against the labels of the corpus; none without labels."""
    known = [label for label in labels if label]
    pairs = zip(reports, labels, strict=True)
    stated = [_stated_findings(report, label, schema) for report, label in pairs if label]
    return finding_measures(stated, known, schema=schema) if known else ()


def full_text(draft: Report) -> str:
    """Return the sections of a draft that describe the images."""
    return "\n".join(section.text for section in draft.describing_sections)


def findings_text(draft: Report) -> str:
    """Return the findings section of a draft, which reports are compared with."""
    return " ".join(section.text for section in draft.sections if section.name is SectionName.FINDINGS)


def _count_labels(labels: Sequence[States], schema: FindingSchema) -> dict[str, int]:
    return {name: sum(label.get(name) is FindingState.PRESENT for label in labels) for name in schema.findings}


def _compare_with_labels(
    labels: Sequence[States], drafts: Mapping[str, Sequence[Report]], method: ScoreMethod
) -> dict[str, tuple[Difference, ...]]:
    return _compare_with_controls(drafts, lambda reports: label_measures(labels, reports, method.schema), method)


def _compare_with_nih_labels(
    rows: Sequence[Row],
    drafts: Mapping[str, Sequence[Report]],
    labels: Mapping[str, frozenset[str]],
    method: ScoreMethod,
) -> LabelScores:
    stated = {images: [stated_labels(full_text(report)) for report in reports] for images, reports in drafts.items()}
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
    texts = {images: tuple(findings_text(reports[index]) for index in indices) for images, reports in drafts.items()}
    own = texts.pop(OWN)
    joined = JoinedReports(ids=ids, predictions=own, references=references, notices=tuple(notice_empty(own)))
    return score_texts(joined, method, training=training, features=features, controls=texts)


def _stated_findings(draft: Report, labels: States, schema: FindingSchema) -> States:
    """Label a draft, restricted to the findings that the corpus labels; the others have no reference."""
    return {name: state for name, state in label_findings(full_text(draft), schema).items() if name in labels}


def _predicted_attributes(draft: Report) -> AttributePrediction:
    predicted = {attribute.name: attribute.predicted for attribute in draft.attributes}
    return AttributePrediction(draft=findings_text(draft), predicted=predicted)
