"""One validation over all processes: the loss of every study, thresholds of the findings, and drafts of some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from accelerate.utils import send_to_device

from report_gen.config import FindingConfig
from report_gen.model import Checkpoint
from report_gen.records.report import format_report

from ..calibration import fit_thresholds
from ..data import Batch, Floats, Groups, TrainingData
from ..recipe import StageRecipe
from ..run import Processes, Sample, Validation
from .checkpoint_choice import choose_studies, draft, score_drafts
from .train_step import LossCounts, LossSums, mean_losses, train_step


class Validator:
    """Validates the model of a stage.

    Args:
        checkpoint: the model in training, with its words.
        max_report_tokens: report tokens of a draft at most.
        can_write: whether the decoder could write before the stage.
        knows_findings: whether the head has learned findings, so that thresholds mean something.
        autocast: the arithmetic of the stage.
        pause: called between batches; it may raise.
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
        knows_findings: bool,
        autocast: Callable[[], torch.autocast],
        pause: Callable[[], None],
    ) -> None:
        self._checkpoint, self._stage, self._data, self._processes = checkpoint, stage, data, processes
        self._max_report_tokens, self._can_write, self._knows_findings = max_report_tokens, can_write, knows_findings
        self._autocast, self._pause = autocast, pause
        learns_to_write = can_write or stage.rates.decoder > 0
        count = stage.validation_drafts if stage.checkpoint_metric == "draft_score" and learns_to_write else 0
        self._drafted = choose_studies(data.validation, count)

    @torch.inference_mode()
    def validate(self, step: int) -> Validation:
        """Every study's loss, and drafts of the chosen ones, which noise is not asked for.

        The model is left with thresholds fitted to the head's answers.
        """
        model = self._checkpoint.model.eval()
        loss, findings, accuracies = self._measure()
        model.config = model.config.model_copy(update={"findings": findings})
        samples = self._draft() if self._drafted and (step > 0 or self._can_write) else []
        judged = None
        if samples:
            schema = model.config.finding_schema
            judged = score_drafts([one.draft for one in samples], [one.reference for one in samples], schema)
        return Validation(
            stage=self._stage.name,
            step=step,
            loss=loss,
            scores={} if judged is None else judged.scores,
            distinct=None if judged is None else judged.distinct,
            collapsed=judged is not None and (judged.collapsed or judged.distinct < self._stage.min_distinct),
            samples=samples,
            accuracies=accuracies,
        )

    def _measure(self) -> tuple[float | None, FindingConfig, Mapping[str, float]]:
        """Mean loss of the studies, if there are any, thresholds that suit the finding head's answers, and how often
        the attribute heads are right."""
        attributes, schema = self._checkpoint.model.config.attributes, self._checkpoint.model.config.finding_schema
        sums, totals, right = np.array(LossSums()), np.array(LossCounts()), np.zeros((len(attributes), 2))
        answers: list[tuple[Floats, Floats]] = []
        for batch in self._batches(self._data.validation):
            weights = LossCounts.of(batch)
            with self._autocast():
                losses = train_step(self._checkpoint.model, batch, self._stage)
            sums += losses.sums(weights)
            totals += weights
            right += _right(losses.attribute_logits, batch.attribute_targets)
            if losses.finding_logits is not None and self._knows_findings:
                probabilities = self._checkpoint.model.probabilities(losses.finding_logits.double())
                answers.append((probabilities.cpu().numpy(), batch.finding_targets.double().cpu().numpy()))
        added = np.array(self._processes.sum([*sums, *totals, *right.ravel()]))
        everything = LossCounts(*added[len(sums) :][: len(totals)].tolist())
        loss = mean_losses(added[: len(sums)].tolist(), everything, self._stage).loss if any(everything) else None
        counts = zip(attributes, added[len(sums) + len(totals) :].reshape(right.shape).tolist(), strict=True)
        accuracies = {str(attribute.name): hits / known for attribute, (hits, known) in counts if known}
        return loss, _thresholds(self._processes.gather(answers), len(schema.findings)), accuracies

    def _draft(self) -> list[Sample]:
        """Drafts of the chosen studies, in the same order whatever the number of processes."""
        rank, count = self._processes.rank, self._processes.count
        mine = [
            (rank + count * number, self._write(batch)) for number, batch in enumerate(self._batches(self._drafted))
        ]
        written = [text for _, texts in sorted(self._processes.gather(mine)) for text in texts]
        examples = (example for group in self._drafted for example in group)
        return [
            Sample(study_id=one.study_id, draft=text, reference=one.reference, images=one.images)
            for one, text in zip(examples, written, strict=True)
        ]

    def _write(self, batch: Batch) -> list[str]:
        with self._autocast():
            return [format_report(sections) for sections in draft(self._checkpoint, batch, self._max_report_tokens)]

    def _batches(self, groups: Groups) -> Iterator[Batch]:
        """Every process's share: the first batch is the first one's."""
        device = next(self._checkpoint.model.parameters()).device
        for batch in self._data.studies(groups):
            self._pause()
            yield send_to_device(batch, device)


def _right(logits: Sequence[torch.Tensor], targets: torch.Tensor) -> Floats:
    """[A,2]: of how many studies a head says the attribute right, and of how many it is known; 0 without images."""
    counts = np.zeros((targets.shape[1], 2))
    for place, (one, target) in enumerate(zip(logits, targets.unbind(1), strict=False)):
        counts[place] = (one.argmax(-1) + 1 == target).sum().item(), (target > 0).sum().item()
    return counts


def _thresholds(answers: Sequence[tuple[Floats, Floats]], findings: int) -> FindingConfig:
    if not answers or not findings:
        return FindingConfig.unknown(findings)
    probabilities, targets = zip(*answers, strict=True)
    return fit_thresholds(np.concatenate(probabilities), np.concatenate(targets))
