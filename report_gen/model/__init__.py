"""The model: an image encoder, a projector to visual tokens and a GPT-style decoder."""

from report_gen.config import ModelConfig
from report_gen.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from report_gen.model.report_model import ReportModel

__all__ = ["Checkpoint", "ModelConfig", "ReportModel", "load_checkpoint", "save_checkpoint"]
