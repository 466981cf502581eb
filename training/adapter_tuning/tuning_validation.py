"""Validate adapters: the loss of validation reports, and drafts that are scored against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.records import format_report

from ..engine import score_drafts, spread_evenly
from ..recipe import TuningRecipe
from ..run import Sample, Validation
from .chat_batches import answer_loss, join_chats
from .tunable_model import TunableModel
from .tuning_studies import ChatEncoder, TuningStudy


class TuningValidator:
    """Validates with the same studies every time.

    Args:
        recipe: The recipe.
        model: Model with adapters.
        encoder: Encodes the studies.
        studies: All validation studies.
        pause: Called between studies; it may raise an error to leave the validation.
    """

    def __init__(
        self,
        recipe: TuningRecipe,
        model: TunableModel,
        encoder: ChatEncoder,
        studies: Sequence[TuningStudy],
        *,
        pause: Callable[[], None],
    ) -> None:
        self._recipe, self._model, self._encoder, self._pause = recipe, model, encoder, pause
        self._drafter = Drafter(model.generator)
        self._studies = [studies[index] for index in spread_evenly(len(studies), recipe.validation_drafts)]

    @torch.inference_mode()
    def validate(self, step: int) -> Validation:
        """Compute the loss of the validation studies, and draft and score them."""
        self._model.network.eval()
        with self._model.autocast():
            loss = self._loss()
            drafted = self._recipe.checkpoint_metric == "draft_score" and loss is not None
            samples = [self._draft(study) for study in self._studies] if drafted else []
        scored = None
        if samples:
            schema = self._model.description.schema
            scored = score_drafts([one.draft for one in samples], [one.reference for one in samples], schema)
        return Validation(
            stage=self._recipe.name,
            step=step,
            loss=loss,
            losses={} if loss is None else {"report": loss},
            scores={} if scored is None else scored.scores,
            distinct=None if scored is None else scored.distinct,
            collapsed=scored is not None and (scored.collapsed or scored.distinct < self._recipe.min_distinct),
            samples=samples,
        )

    def _loss(self) -> float | None:
        """Return the mean loss over the answer tokens of all studies; None without studies."""
        total, tokens = 0.0, 0
        for study in self._studies:
            self._pause()
            for batch in join_chats(self._encoder.encode_all([study])):
                total += answer_loss(self._model.network, batch).item()
                tokens += batch.tokens
        return total / tokens if tokens else None

    def _draft(self, study: TuningStudy) -> Sample:
        """Draft a study as `report-gen draft` does. The draft is empty if there is none, such as for a refusal."""
        self._pause()
        decoding = replace(self._drafter.info.decoding, max_tokens=self._recipe.text.max_report_tokens)
        try:
            text = format_report(self._drafter.draft(study.request(), decoding=decoding).describing_sections)
        except StudyError:
            text = ""
        return Sample(study_id=study.study_id, draft=text, reference=study.report, images=study.images)
