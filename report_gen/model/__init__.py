"""The model: image encoder, projector, decoder, and the checkpoints that hold them.

Modules are imported at their first use, because `config_file` is needed without torch.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.model.adapter import TOKEN_ROWS
    from report_gen.model.base_source import base_digest, local_source
    from report_gen.model.checkpoint import Checkpoint, load_checkpoint, replace_config, save_checkpoint
    from report_gen.model.checkpoint_files import MANIFEST
    from report_gen.model.conditioning import (
        Conditioning,
        CrossAttentionConditioning,
        NumbersConditioning,
        PrefixConditioning,
        conditioning_type,
    )
    from report_gen.model.config_file import (
        EMBEDDED,
        RUN_CHECKPOINT,
        embedded_checkpoints,
        find_checkpoint,
        manifest_digest,
        read_config,
        read_model_card,
    )
    from report_gen.model.continuations import CONTINUATION_LENGTHS, Continuations
    from report_gen.model.decoder import ReportDecoder
    from report_gen.model.device import INT8, resolve_device, resolve_dtype
    from report_gen.model.encoder import ImageEncoder
    from report_gen.model.feature_numbers import Encode
    from report_gen.model.finding_changes import DECIDED_CHANGES, change_probabilities, decide_changes
    from report_gen.model.int8_linear import is_quantized, quantize_linear_layers
    from report_gen.model.language_model import Pretrained, build_from_configuration, load_pretrained
    from report_gen.model.location_head import PredictedLocations, predict_locations
    from report_gen.model.pretrained_source import (
        LIBRARY_ERRORS,
        LOADING_ERRORS,
        PretrainedSource,
        load_source_tokenizer,
        quiet,
    )
    from report_gen.model.projector import Projector, VisualFeatures
    from report_gen.model.recognizer import ImageRecognizer, Recognition
    from report_gen.model.report_model import ReportModel, ReportModelOutput
    from report_gen.model.sequence import SequenceEncoder, build_sequence_encoder
    from report_gen.model.trial import encode_zeros
    from report_gen.model.tuning import (
        Tuning,
        describe_processor,
        find_tuning,
        processor_features,
        processor_name,
        remember_tuning,
        tuning_file,
    )
    from report_gen.model.weights import stored_tensors
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "adapter": ("TOKEN_ROWS",),
            "base_source": ("base_digest", "local_source"),
            "checkpoint": ("Checkpoint", "load_checkpoint", "replace_config", "save_checkpoint"),
            "checkpoint_files": ("MANIFEST",),
            "conditioning": (
                "Conditioning",
                "CrossAttentionConditioning",
                "NumbersConditioning",
                "PrefixConditioning",
                "conditioning_type",
            ),
            "config_file": (
                "EMBEDDED",
                "embedded_checkpoints",
                "find_checkpoint",
                "manifest_digest",
                "read_config",
                "RUN_CHECKPOINT",
                "read_model_card",
            ),
            "continuations": ("CONTINUATION_LENGTHS", "Continuations"),
            "decoder": ("ReportDecoder",),
            "device": ("INT8", "resolve_device", "resolve_dtype"),
            "encoder": ("ImageEncoder",),
            "feature_numbers": ("Encode",),
            "finding_changes": ("DECIDED_CHANGES", "change_probabilities", "decide_changes"),
            "int8_linear": ("is_quantized", "quantize_linear_layers"),
            "language_model": ("Pretrained", "build_from_configuration", "load_pretrained"),
            "location_head": ("PredictedLocations", "predict_locations"),
            "pretrained_source": (
                "LIBRARY_ERRORS",
                "LOADING_ERRORS",
                "PretrainedSource",
                "load_source_tokenizer",
                "quiet",
            ),
            "projector": ("Projector", "VisualFeatures"),
            "recognizer": ("ImageRecognizer", "Recognition"),
            "report_model": ("ReportModel", "ReportModelOutput"),
            "sequence": ("SequenceEncoder", "build_sequence_encoder"),
            "trial": ("encode_zeros",),
            "tuning": (
                "Tuning",
                "describe_processor",
                "find_tuning",
                "processor_features",
                "processor_name",
                "remember_tuning",
                "tuning_file",
            ),
            "weights": ("stored_tensors",),
        },
    )

__all__ = [
    "CONTINUATION_LENGTHS",
    "DECIDED_CHANGES",
    "EMBEDDED",
    "INT8",
    "LIBRARY_ERRORS",
    "LOADING_ERRORS",
    "MANIFEST",
    "RUN_CHECKPOINT",
    "TOKEN_ROWS",
    "Checkpoint",
    "Conditioning",
    "Continuations",
    "CrossAttentionConditioning",
    "Encode",
    "ImageEncoder",
    "ImageRecognizer",
    "NumbersConditioning",
    "PredictedLocations",
    "PrefixConditioning",
    "Pretrained",
    "PretrainedSource",
    "Projector",
    "Recognition",
    "ReportDecoder",
    "ReportModel",
    "ReportModelOutput",
    "SequenceEncoder",
    "Tuning",
    "VisualFeatures",
    "base_digest",
    "build_from_configuration",
    "build_sequence_encoder",
    "change_probabilities",
    "conditioning_type",
    "decide_changes",
    "describe_processor",
    "embedded_checkpoints",
    "encode_zeros",
    "find_checkpoint",
    "find_tuning",
    "is_quantized",
    "load_checkpoint",
    "load_pretrained",
    "load_source_tokenizer",
    "local_source",
    "manifest_digest",
    "predict_locations",
    "processor_features",
    "processor_name",
    "quantize_linear_layers",
    "quiet",
    "read_config",
    "read_model_card",
    "remember_tuning",
    "replace_config",
    "resolve_device",
    "resolve_dtype",
    "save_checkpoint",
    "stored_tensors",
    "tuning_file",
]
