"""Sample and reward the drafts that the self-critical loss of a stage needs."""

from __future__ import annotations

from report_gen.model import Checkpoint

from ..data.batches import Batch
from ..data.data_loading import Groups
from ..recipe.schema import StageRecipe
from ..run.processes import Processes
from .rewards import training_frequencies
from .scst import Sampled, sample_drafts


class ScstSampler:
    """Samples drafts of the training batches of a stage.

    Args:
        checkpoint: model in training and its tokenizer.
        stage: recipe of the stage, with the reward.
        training: training studies, whose reports give the document frequencies of the reward.
        processes: the processes of the run.
        longest: largest number of report tokens R.
    """

    def __init__(
        self, checkpoint: Checkpoint, stage: StageRecipe, training: Groups, processes: Processes, *, longest: int
    ) -> None:
        self._checkpoint, self._reward, self._processes, self._longest = checkpoint, stage.reward, processes, longest
        self._frequencies = (
            training_frequencies(example.reference for group in training for example in group)
            if stage.reward.weight
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
            self._reward,
            self._frequencies,
            longest=self._longest,
            seed=seed,
            rank=self._processes.rank,
            processes=self._processes.count,
        )
