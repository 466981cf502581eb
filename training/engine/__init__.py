"""The training engine: a step, a stage, the loop over stages, the session; validation, model building, checkpoints."""

from .model_building import build_model, describe_decoder
from .session import build_for_corpora, train
from .stage import RunContext, Stage

__all__ = ["RunContext", "Stage", "build_for_corpora", "build_model", "describe_decoder", "train"]
