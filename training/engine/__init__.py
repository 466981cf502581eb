"""The training engine: a step, a stage, the loop over stages, the session; validation, model building, checkpoints."""

from .checkpoint_choice import choose_studies, draft_studies, rank, score_drafts, spread_evenly
from .model_building import build_model, describe_decoder, fill_encoder
from .precision import is_bf16_faster
from .resume_check import MAX_SKIPPED, check_tuning_state
from .run_context import RunContext
from .session import build_for_corpora, train
from .stage import Stage
from .train_step import forward

__all__ = [
    "MAX_SKIPPED",
    "RunContext",
    "Stage",
    "build_for_corpora",
    "build_model",
    "check_tuning_state",
    "choose_studies",
    "describe_decoder",
    "draft_studies",
    "fill_encoder",
    "forward",
    "is_bf16_faster",
    "rank",
    "score_drafts",
    "spread_evenly",
    "train",
]
