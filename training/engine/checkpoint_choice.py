"""Which weights are the best: those whose drafts of validation studies say what the reports say, in varied words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from report_gen.config import STATES
from report_gen.generation import Decoding, generate
from report_gen.metrics.bleu import bleu
from report_gen.metrics.cider import cider_d
from report_gen.metrics.diversity import diversity_stats, is_collapsed
from report_gen.metrics.finding_scores import average_name, finding_measures, label_reports
from report_gen.metrics.pairs import Pairs
from report_gen.metrics.rouge import rouge_l_coco
from report_gen.model import Checkpoint
from report_gen.records.findings import FindingSchema
from report_gen.records.report import Section, parse_report
from report_gen.tokenizer import BOS_ID

from ..data import Batch, ExampleStore
from ..recipe import StageRecipe
from ..run import Validation, ValidationScore


def shown_scores(schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of the scores of a validation."""
    sizes = list(schema.scored_sets)[:1]  # all scored findings
    averages = (average_name(average, "F1", size, "uncertain+") for size in sizes for average in ("macro", "micro"))
    return (*averages, "CIDEr-D", "ROUGE-L (coco)", "BLEU-4")


@dataclass(frozen=True)
class DraftScores:
    """What the drafts of a validation are worth."""

    scores: dict[str, float]
    distinct: float
    """Different drafts over different references."""
    collapsed: bool
    """As `report-gen score` has it."""


def choose_studies(groups: Sequence[ExampleStore], count: int) -> list[ExampleStore]:
    """At most `count` studies with a text, evenly spread over all that have one, in groups of one kind."""
    told = [group for group in groups if group.lengths.any()]
    stops = np.cumsum([len(group) for group in told], dtype=np.int64)
    total = sum(map(len, told))
    places = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))
    chosen = [
        group.select(places[(places >= stop - len(group)) & (places < stop)] - (stop - len(group)))
        for group, stop in zip(told, stops, strict=True)
    ]
    return [group for group in chosen if len(group)]


@torch.inference_mode()
def draft(checkpoint: Checkpoint, batch: Batch, longest: int) -> list[tuple[Section, ...]]:
    """Greedy drafts of a batch with texts, as a drafter would write them.

    What the decoder is told comes from the images and the thresholds of the model where there are images, and else
    from the texts, as in training.
    """
    model = checkpoint.model
    visual, states, values = None, batch.finding_states, batch.attribute_values
    if batch.view_mask.shape[1]:
        visual = model.encode_images(batch.pixel_values, batch.view_positions, batch.view_mask, batch.patch_features)
        states = _agreeing(
            model.config.finding_schema, model.decide(model.probabilities(visual.finding_logits.double()))
        )
        values = model.decide_attributes(visual)
    visual_tokens, visual_mask = model.visual_tokens(states, visual, values)
    written = generate(
        checkpoint,
        visual_tokens=visual_tokens,
        visual_mask=visual_mask,
        prompt_ids=[_prompt(row) for row in batch.input_ids.tolist()],
        states=[[STATES[state] for state in row] for row in states.tolist()],
        decoding=Decoding(method="greedy", max_tokens=longest),
    )
    return [text.sections for text in written]


def score_drafts(drafts: Sequence[str], references: Sequence[str], schema: FindingSchema) -> DraftScores:
    """Score drafts, as `format_report` writes them, against their references; headings do not count."""
    written, wanted = [_bare(text) for text in drafts], [_bare(text) for text in references]
    said, there = label_reports(written, schema=schema), label_reports(wanted, schema=schema)
    pairs = Pairs(written, wanted)
    measures = [bleu(pairs), rouge_l_coco(pairs), cider_d(pairs), *finding_measures(said, there, schema=schema)]
    shown = shown_scores(schema)
    scores = {
        name: float(value)
        for measure in measures
        for name, value in zip(measure.names, measure.values, strict=True)
        if name in shown
    }
    ours, theirs = diversity_stats(written, said, schema=schema), diversity_stats(wanted, there, schema=schema)
    return DraftScores(scores, ours.distinct / max(theirs.distinct, 1), is_collapsed(ours, theirs))


def rank(validation: Validation, stage: StageRecipe) -> ValidationScore | None:
    """What to compare validations by; None where there is nothing to go by.

    Drafts that vary too little are worth as much as none: the loss decides among them, and any score beats them.
    """
    if validation.loss is None:
        return None
    varied = not validation.collapsed and (validation.distinct or 0.0) >= stage.min_distinct
    loss = validation.loss if math.isfinite(validation.loss) else math.inf
    return ValidationScore(score=(validation.score or 0.0) if varied else 0.0, negative_loss=-loss)


def _agreeing(schema: FindingSchema, states: torch.Tensor) -> torch.Tensor:
    """States [B,F] in which "no finding" follows from the others, as in a draft."""
    agreed = [
        schema.with_no_finding(dict(zip(schema.findings, (STATES[state] for state in row), strict=True)))
        for row in states.tolist()
    ]
    rows = [[STATES.index(row[name]) for name in schema.findings] for row in agreed]
    return torch.tensor(rows, dtype=states.dtype, device=states.device).reshape(states.shape)


def _prompt(input_ids: Sequence[int]) -> list[int]:
    """What stands before the begin token."""
    return list(input_ids[: input_ids.index(BOS_ID)])


def _bare(text: str) -> str:
    return "\n".join(section.text for section in parse_report(text))
