"""Fine-tune a published model with low-rank adapters: the chats, the steps, validation by drafts, the checkpoint."""

from .session import tune, tune_watched

__all__ = ["tune", "tune_watched"]
