"""What the self-critical loss of a stage needs: drafts that the model samples of its own batches."""

from __future__ import annotations

from report_gen.model import Checkpoint

from ..data import Batch, Groups
from ..recipe import StageRecipe
from ..run import Processes
from .rewards import training_frequencies
from .scst import Sampled, sample_drafts


class ScstSampler:
    """Lets the model of a stage draft its training batches.

    Args:
        checkpoint: the model in training, with its words.
        training: the studies, whose reports say which words are rare.
        max_report_tokens: report tokens of a draft at most.
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
        """Drafts of the batch, judged by its reports; None where it has none or the stage does without."""
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
