"""Validate the model of a stage over all processes: loss, thresholds of the finding head, and drafts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from accelerate.utils import send_to_device

from report_gen.config import FindingConfig
from report_gen.model import Checkpoint
from report_gen.records import FindingSchema, format_report

from ..calibration import fit_findings
from ..data import Batch, Floats, Groups, TrainingData
from ..recipe import DecisionRecipe, StageRecipe
from ..run import Processes, Sample, Validation
from .checkpoint_choice import choose_studies, draft_studies, score_drafts, validation_decoding
from .train_step import LossCounts, LossSums, MeanLosses, mean_losses, train_step


class Validator:
    """Validates the model of a stage.

    Args:
        checkpoint: Model in training and its tokenizer.
        stage: Recipe of the stage.
        data: Training and validation studies.
        processes: The processes of the run.
        max_report_tokens: Largest number of report tokens R of a draft.
        can_write: Whether the decoder was trained before this stage.
        trained_findings: [F] whether the finding head is trained on each finding.
        costs: Costs of wrong decisions, for the thresholds of the findings.
        autocast: Returns the autocast context of the stage.
        pause: Called between batches; may raise to stop the run.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        stage: StageRecipe,
        data: TrainingData,
        processes: Processes,
        *,
        max_report_tokens: int,
        can_write: bool,
        trained_findings: Sequence[bool],
        costs: DecisionRecipe,
        autocast: Callable[[], torch.autocast],
        pause: Callable[[], None],
    ) -> None:
        self._checkpoint, self._stage, self._data, self._processes = checkpoint, stage, data, processes
        self._can_write, self._trained_findings, self._costs = can_write, trained_findings, costs
        self._autocast, self._pause = autocast, pause
        self._decoding = validation_decoding(stage, max_report_tokens)
        trains_decoder = can_write or stage.rates.decoder > 0
        count = stage.validation_drafts if stage.checkpoint_metric == "draft_score" and trains_decoder else 0
        self._drafted = choose_studies(data.validation, count)

    @torch.inference_mode()
    def validate(self, step: int) -> Validation:
        """Compute the loss of every validation study, and draft and score the chosen ones.

        The configuration of the model gets thresholds fitted to the predictions of its finding head. An untrained
        decoder is not asked for drafts.
        """
        model = self._checkpoint.model.eval()
        losses, findings, accuracies = self._measure()
        model.config = model.config.model_copy(update={"findings": findings})
        samples = self._draft() if self._drafted and (step > 0 or self._can_write) else []
        scored = None
        if samples:
            drafts, references = [one.draft for one in samples], [one.reference for one in samples]
            scored = score_drafts(drafts, references, model.config.finding_schema)
        return Validation(
            stage=self._stage.name,
            step=step,
            loss=None if losses is None else losses.loss,
            losses={} if losses is None else losses.parts,
            scores={} if scored is None else scored.scores,
            distinct=None if scored is None else scored.distinct,
            collapsed=scored is not None and (scored.collapsed or scored.distinct < self._stage.min_distinct),
            samples=samples,
            accuracies=accuracies,
        )

    def _measure(self) -> tuple[MeanLosses | None, FindingConfig, Mapping[str, float]]:
        """Return the mean losses, None without studies; fitted thresholds; and the accuracy of each attribute head."""
        attributes, schema = self._checkpoint.model.config.attributes, self._checkpoint.model.config.finding_schema
        sums, totals, correct = np.array(LossSums()), np.array(LossCounts()), np.zeros((len(attributes), 2))
        predictions: list[tuple[Floats, Floats]] = []
        for batch in self._batches(self._data.validation):
            weights = LossCounts.of(batch)
            with self._autocast():
                losses = train_step(self._checkpoint.model, batch, self._stage)
            sums += losses.sums(weights)
            totals += weights
            correct += _count_correct(losses.attribute_logits, batch.attribute_targets)
            if losses.finding_logits is not None:
                logits, targets = losses.finding_logits.double(), batch.finding_targets.double()
                predictions.append((logits.cpu().numpy(), targets.cpu().numpy()))
        added = np.array(self._processes.sum([*sums, *totals, *correct.ravel()]))
        all_weights = LossCounts(*added[len(sums) :][: len(totals)].tolist())
        means = mean_losses(added[: len(sums)].tolist(), all_weights, self._stage) if any(all_weights) else None
        counts = zip(attributes, added[len(sums) + len(totals) :].reshape(correct.shape).tolist(), strict=True)
        accuracies = {str(attribute.name): hits / known for attribute, (hits, known) in counts if known}
        return means, self._tune(self._processes.gather(predictions), schema), accuracies

    def _tune(self, predictions: Sequence[tuple[Floats, Floats]], schema: FindingSchema) -> FindingConfig:
        """Return calibration and thresholds fitted to the logits and targets of all validation studies with images."""
        trained = tuple(self._trained_findings)
        if not predictions or not schema.findings:
            return FindingConfig.unknown(len(trained), trained=trained)
        logits, targets = (np.concatenate(parts) for parts in zip(*predictions, strict=True))
        return fit_findings(logits, targets, trained=trained, schema=schema, costs=self._costs).findings

    def _draft(self) -> list[Sample]:
        """Return drafts of the chosen studies, in the same order whatever the number of processes."""
        rank, count = self._processes.rank, self._processes.count
        own = [
            (rank + count * number, self._draft_batch(batch))
            for number, batch in enumerate(self._batches(self._drafted))
        ]
        drafts = [text for _, texts in sorted(self._processes.gather(own)) for text in texts]
        examples = (example for group in self._drafted for example in group)
        return [
            Sample(study_id=one.study_id, draft=text, reference=one.reference, images=one.images)
            for one, text in zip(examples, drafts, strict=True)
        ]

    def _draft_batch(self, batch: Batch) -> list[str]:
        with self._autocast():
            return [format_report(sections) for sections in draft_studies(self._checkpoint, batch, self._decoding)]

    def _batches(self, groups: Groups) -> Iterator[Batch]:
        """Yield the batches of this process; processes take turns."""
        device = next(self._checkpoint.model.parameters()).device
        for batch in self._data.studies(groups):
            self._pause()
            yield send_to_device(batch, device)


def _count_correct(logits: Sequence[torch.Tensor], targets: torch.Tensor) -> Floats:
    """Return, for each attribute, the numbers of correct predictions and of known targets [A,2]; 0 without images."""
    counts = np.zeros((targets.shape[1], 2))
    for index, (one, target) in enumerate(zip(logits, targets.unbind(1), strict=False)):
        counts[index] = (one.argmax(-1) + 1 == target).sum().item(), (target > 0).sum().item()
    return counts
