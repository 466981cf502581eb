"""The model: image encoder, projector, decoder, and the checkpoints that hold them."""

from report_gen.config import ModelConfig
from report_gen.model.checkpoint import MANIFEST, Checkpoint, load_checkpoint, save_checkpoint
from report_gen.model.conditioning import (
    Conditioning,
    CrossAttentionConditioning,
    NumbersConditioning,
    PrefixConditioning,
    conditioning_type,
)
from report_gen.model.decoder import ReportDecoder
from report_gen.model.device import resolve_device, resolve_dtype
from report_gen.model.encoder import ImageEncoder
from report_gen.model.feature_numbers import Encode
from report_gen.model.language_model import load_pretrained
from report_gen.model.projector import VIEWS, Projector, VisualFeatures
from report_gen.model.recognizer import ImageRecognizer, Recognition
from report_gen.model.report_model import ReportModel, ReportModelOutput

__all__ = [
    "MANIFEST",
    "VIEWS",
    "Checkpoint",
    "Conditioning",
    "CrossAttentionConditioning",
    "Encode",
    "ImageEncoder",
    "ImageRecognizer",
    "ModelConfig",
    "NumbersConditioning",
    "PrefixConditioning",
    "Projector",
    "Recognition",
    "ReportDecoder",
    "ReportModel",
    "ReportModelOutput",
    "VisualFeatures",
    "conditioning_type",
    "load_checkpoint",
    "load_pretrained",
    "resolve_device",
    "resolve_dtype",
    "save_checkpoint",
]
