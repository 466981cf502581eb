"""Choose the best weights of a stage by the drafts of validation studies: agreement with the reports, and diversity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.config import STATES, AttributeConfig
from report_gen.drafting import resolve_states
from report_gen.generation import DEFAULT_DECODING, Decoding, generate_texts, study_generator
from report_gen.metrics import (
    Pairs,
    average_name,
    cider_d,
    diversity_stats,
    finding_measures,
    is_collapsed,
    label_reports,
    rouge_l_coco,
)
from report_gen.metrics.bleu import bleu
from report_gen.model import Checkpoint, ReportModel, VisualFeatures, predict_locations
from report_gen.records import (
    LOCATION_PARTS,
    AttributeName,
    FindingSchema,
    FindingState,
    Section,
    location_from_parts,
    parse_report,
)
from report_gen.tokenizer import BOS_ID

from ..data import Batch, ExampleStore
from ..recipe import StageRecipe, TrainingSteps
from ..run import Validation, ValidationScore

_DECODINGS: Mapping[str, Decoding] = MappingProxyType(
    {"greedy": Decoding(), "beam": Decoding(method="beam"), "default": DEFAULT_DECODING}
)


def shown_scores(schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of the scores that a validation reports."""
    sizes = list(schema.scored_sets)[:1]  # all scored findings
    averages = (average_name(average, "F1", size, "uncertain+") for size in sizes for average in ("macro", "micro"))
    return (*averages, "CIDEr-D", "ROUGE-L (coco)", "BLEU-4")


@dataclass(frozen=True)
class DraftScores:
    """Scores of the drafts of a validation."""

    scores: dict[str, float]
    """By name, see `shown_scores`."""
    distinct: float
    """Number of different drafts divided by the number of different references."""
    collapsed: bool
    """Whether the drafts vary too little, by the rule of `report-gen score`."""


def choose_studies(groups: Sequence[ExampleStore], count: int) -> list[ExampleStore]:
    """Return at most `count` studies with a report, evenly spread over all that have one, in groups of one kind."""
    with_reports = [group for group in groups if group.lengths.any()]
    stops = np.cumsum([len(group) for group in with_reports], dtype=np.int64)
    indices = spread_evenly(sum(map(len, with_reports)), count)
    chosen = [
        group.select(indices[(indices >= stop - len(group)) & (indices < stop)] - (stop - len(group)))
        for group, stop in zip(with_reports, stops, strict=True)
    ]
    return [group for group in chosen if len(group)]


def spread_evenly(total: int, count: int) -> NDArray[np.int64]:
    """Return at most `count` of `total` indices, evenly spread."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


def validation_decoding(stage: StageRecipe, max_report_tokens: int) -> Decoding:
    """Return the decoding of validation drafts.

    Args:
        stage: Recipe with `validation_decoding`.
        max_report_tokens: Maximum report tokens R.
    """
    return replace(_DECODINGS[stage.validation_decoding], max_tokens=max_report_tokens)


@torch.inference_mode()
def draft_studies(checkpoint: Checkpoint, batch: Batch, decoding: Decoding) -> list[tuple[Section, ...]]:
    """Draft a batch of studies that have reports, by the same function as a `Drafter`.

    For studies with images, the model predicts findings and attributes. For studies without images they come from the
    reports, as in training.

    Args:
        checkpoint: Model in training, tokenizer and prompt.
        batch: Studies with reports.
        decoding: Options of the generation.
    """
    model = checkpoint.model
    visual, states, values = None, batch.finding_states, batch.attribute_values
    parts = batch.finding_locations
    if batch.view_mask.shape[1]:
        visual = model.encode_images(*batch.image_inputs)
        decided = model.decide(model.probabilities(visual.finding_logits.double()))
        states = _with_no_finding(model.config.finding_schema, decided)
        values = model.decide_attributes(visual)
        parts = _predicted_parts(model, visual, states)
    visual_tokens, visual_mask = model.visual_tokens(states, visual, values, parts)
    locations = [[location_from_parts(finding) for finding in row] for row in parts.bool().tolist()]
    generated = generate_texts(
        checkpoint,
        visual_tokens=visual_tokens,
        visual_mask=visual_mask,
        prompt_ids=[_prompt_ids(row) for row in batch.input_ids.tolist()],
        states=[[STATES[state] for state in row] for row in states.tolist()],
        attributes=[_attribute_values(model.config.attributes, row) for row in values.tolist()],
        locations=None if model.config.locations is None else locations,
        decoding=decoding,
        generators=[study_generator(decoding.seed, study_id) for study_id in batch.study_ids],
    )
    return [text.sections for text in generated]


def _predicted_parts(model: ReportModel, visual: VisualFeatures, states: torch.Tensor) -> torch.Tensor:
    """Return the predicted location parts [B,F,P] of the findings that are present or uncertain by their states."""
    if model.config.locations is None or visual.location_logits is None:
        return torch.zeros(*states.shape, len(LOCATION_PARTS), device=states.device)
    is_stated = (states == STATES.index(FindingState.PRESENT)) | (states == STATES.index(FindingState.UNCERTAIN))
    return (predict_locations(visual.location_logits, model.config.locations).parts & is_stated[:, :, None]).float()


def score_drafts(drafts: Sequence[str], references: Sequence[str], schema: FindingSchema) -> DraftScores:
    """Score drafts against their references.

    Args:
        drafts: Reports as `format_report` writes them; headings do not count.
        references: Reports of the same studies, in the same form.
        schema: The findings of the model.
    """
    candidates, targets = [_body(text) for text in drafts], [_body(text) for text in references]
    candidate_labels, target_labels = (label_reports(texts, schema=schema) for texts in (candidates, targets))
    pairs = Pairs(candidates, targets)
    measures = [
        bleu(pairs),
        rouge_l_coco(pairs),
        cider_d(pairs),
        *finding_measures(candidate_labels, target_labels, schema=schema),
    ]
    shown = shown_scores(schema)
    scores = {
        name: float(value)
        for measure in measures
        for name, value in zip(measure.names, measure.values, strict=True)
        if name in shown
    }
    draft_stats, reference_stats = (
        diversity_stats(candidates, candidate_labels, schema=schema),
        diversity_stats(targets, target_labels, schema=schema),
    )
    distinct = draft_stats.distinct / max(reference_stats.distinct, 1)
    return DraftScores(scores, distinct, is_collapsed(draft_stats, reference_stats))


def rank(validation: Validation, stage: TrainingSteps) -> ValidationScore | None:
    """Return the score by which validations are compared, or None if nothing was validated.

    Drafts that vary too little score 0, so that any varied drafts are better; among them the loss decides.
    """
    if validation.loss is None:
        return None
    varied = not validation.collapsed and (validation.distinct or 0.0) >= stage.min_distinct
    loss = validation.loss if math.isfinite(validation.loss) else math.inf
    return ValidationScore(score=(validation.score or 0.0) if varied else 0.0, negative_loss=-loss)


def _with_no_finding(schema: FindingSchema, states: torch.Tensor) -> torch.Tensor:
    """Return states [B,F] in which "no finding" follows from the others, as in a draft."""
    rows = [[STATES.index(state) for state in resolve_states(schema, row, {}).values()] for row in states.tolist()]
    return torch.tensor(rows, dtype=states.dtype, device=states.device).reshape(states.shape)


def _attribute_values(known: Sequence[AttributeConfig], indices: Sequence[int]) -> dict[AttributeName, str]:
    """Return the attribute values [A] of one study by name, "" for unknown."""
    return {
        attribute.name: attribute.conditioning_values[index] for attribute, index in zip(known, indices, strict=True)
    }


def _prompt_ids(input_ids: Sequence[int]) -> list[int]:
    """Return the token ids before the begin token."""
    return list(input_ids[: input_ids.index(BOS_ID)])


def _body(text: str) -> str:
    """Return a report without its headings."""
    return "\n".join(section.text for section in parse_report(text))
