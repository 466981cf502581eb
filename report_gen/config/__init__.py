"""The configuration of a model, as written to `config.json`. It is checked once, here; modules receive plain values."""

from report_gen.config.adapter import AdapterConfig
from report_gen.config.architecture import ENCODER_ARGUMENTS, MODEL_TYPES, TRANSFORMER_KEYS, check_transformer
from report_gen.config.base import FrozenModel, ShortText
from report_gen.config.changes import ChangeConfig
from report_gen.config.heads import AttributeConfig, FindingConfig, LocationConfig
from report_gen.config.model import (
    CONDITIONING_TRAITS,
    MAX_STEPS,
    STATES,
    VIEWS,
    ConditioningName,
    ConditioningTraits,
    DecoderConfig,
    EncoderConfig,
    ModelConfig,
    ProjectorConfig,
    Scalar,
)
from report_gen.config.scope import DeclaredScope, ImageClass, RecognizerConfig, ScopeConfig, TrainedViews
from report_gen.config.sequence import SequenceConfig
from report_gen.config.steps import (
    ClaheStep,
    CropBandsStep,
    CropBordersStep,
    MedianStep,
    NonLocalMeansStep,
    PercentilesStep,
    PreprocessingStep,
)
from report_gen.config.volumes import VolumeConfig, WindowName, check_volumes

__all__ = [
    "CONDITIONING_TRAITS",
    "ENCODER_ARGUMENTS",
    "MAX_STEPS",
    "MODEL_TYPES",
    "STATES",
    "TRANSFORMER_KEYS",
    "VIEWS",
    "AdapterConfig",
    "AttributeConfig",
    "ChangeConfig",
    "ClaheStep",
    "ConditioningName",
    "ConditioningTraits",
    "CropBandsStep",
    "CropBordersStep",
    "DeclaredScope",
    "DecoderConfig",
    "EncoderConfig",
    "FindingConfig",
    "FrozenModel",
    "ImageClass",
    "LocationConfig",
    "MedianStep",
    "ModelConfig",
    "NonLocalMeansStep",
    "PercentilesStep",
    "PreprocessingStep",
    "ProjectorConfig",
    "RecognizerConfig",
    "Scalar",
    "ScopeConfig",
    "SequenceConfig",
    "ShortText",
    "TrainedViews",
    "VolumeConfig",
    "WindowName",
    "check_transformer",
    "check_volumes",
]
