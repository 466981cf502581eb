"""Sample and reward the drafts that the self-critical loss of a stage needs."""

from __future__ import annotations

from report_gen.model import Checkpoint

from ..data import Batch, Groups
from ..recipe import StageRecipe
from ..run import Processes
from .rewards import training_frequencies
from .scst import Sampled, sample_drafts


class ScstSampler:
    """Samples drafts of the training batches of a stage.

    Args:
        checkpoint: Model in training and its tokenizer.
        stage: Recipe of the stage, with the reward.
        training: Training studies, whose reports give the document frequencies of the reward.
        processes: The processes of the run.
        max_report_tokens: Maximum number of report tokens R.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        stage: StageRecipe,
        training: Groups,
        processes: Processes,
        *,
        max_report_tokens: int,
    ) -> None:
        self._checkpoint, self._scst, self._processes = checkpoint, stage.scst, processes
        self._max_report_tokens = max_report_tokens
        self._frequencies = (
            training_frequencies(example.reference for group in training for example in group)
            if stage.scst.weight
            else None
        )

    def sample(self, batch: Batch, seed: int) -> Sampled | None:
        """Return rewarded drafts of a batch, or None if the batch has no reports or the stage has no reward."""
        if self._frequencies is None or not batch.input_ids.shape[1]:
            return None
        return sample_drafts(
            self._checkpoint.model,
            batch,
            self._checkpoint.tokenizer,
            self._scst,
            self._frequencies,
            max_report_tokens=self._max_report_tokens,
            seed=seed,
            rank=self._processes.rank,
            processes=self._processes.count,
        )
