"""The lists of allowed settings: they hold what the libraries know, and nothing that loads, opens or executes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import pydantic
import pytest
import timm
from torch import nn
from transformers import CONFIG_MAPPING, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from report_gen.config import (
    ENCODER_ARGUMENTS,
    MODEL_TYPES,
    TRANSFORMER_KEYS,
    DecoderConfig,
    EncoderConfig,
    ModelConfig,
    check_transformer,
)
from report_gen.config.architecture import MAX_LAYERS, MAX_NUMBER, MAX_WIDTH, TRANSFORMER_TYPES, UNUSED_KEYS
from tests.builders import GPT2, LLAMA, tiny_config

FORBIDDEN_ARGUMENTS = (
    *("pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args"),
    *("cache_dir", "device", "dtype", "features_only", "out_indices", "scriptable", "exportable", "kwargs", "block_fn"),
)
FORBIDDEN_KEYS = (
    *("auto_map", "trust_remote_code", "quantization_config", "_attn_implementation", "_attn_implementation_internal"),
    *("experts_implementation", "per_layer_config", "text_config", "vision_config", "backbone", "num_labels"),
    *("custom_pipelines", "base_model_tp_plan", "_commit_hash", "name_or_path", "custom_generate", "use_kernels"),
)


def timm_parameters() -> set[str]:
    """Return the names of all parameters of all models of timm, and those that timm passes on."""
    names = {"bn_eps", "bn_momentum", "bn_tf"}  # resolved by timm's efficientnet builder
    for module in {timm.model_entrypoint(name).__module__ for name in timm.list_models()}:
        for kind in vars(sys.modules.get(module) or importlib.import_module(module)).values():
            if inspect.isclass(kind) and issubclass(kind, nn.Module):
                names |= set(inspect.signature(kind.__init__).parameters)
    return names


def test_every_encoder_argument_exists() -> None:
    assert ENCODER_ARGUMENTS - timm_parameters() == set()


@pytest.mark.parametrize("name", FORBIDDEN_ARGUMENTS)
def test_an_encoder_argument_that_does_more_than_shape_the_network_is_refused(name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=rf"the encoder argument '{name}' is not allowed.*; remove it"):
        EncoderConfig(name="test_vit", arguments={name: True})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "hf-hub:timm/resnet18",
            "hf_hub:timm/resnet18",
            "local-dir:/etc/model",
            "timm/resnet18",
            "/etc/model",
            "../x",
        ),
        *("https://example.org/model", "resnet18\n", "", "a" * 1000, "C:\\model"),
    ],
)
def test_an_encoder_is_named_by_an_architecture_alone(name: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="timm has no encoder"):
        EncoderConfig(name=name)
    assert EncoderConfig(name="resnet18.a1_in1k").name == "resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"depth": MAX_LAYERS + 1}, "depth = 257 is outside -1 to 256"),
        ({"embed_dim": MAX_WIDTH + 1}, "embed_dim = 32769 is outside"),
        ({"img_size": 10**6000}, "img_size = a number of 19932 bits is outside"),
        ({"mlp_ratio": 1e30}, "mlp_ratio = 1e.30 is not a number of at most"),
        ({"act_layer": "x" * 65}, "act_layer has 65 characters"),
    ],
)
def test_arguments_of_an_encoder_are_limited(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=fault):
        EncoderConfig(name="test_vit", arguments=arguments)


def test_the_keys_cover_every_setting_of_every_allowed_decoder() -> None:
    """Otherwise a decoder could be trained whose checkpoint cannot be loaded."""
    of_all = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    for model_type in MODEL_TYPES:
        assert model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        own = {field.name for field in dataclasses.fields(CONFIG_MAPPING[model_type])} - of_all
        assert own <= TRANSFORMER_KEYS | UNUSED_KEYS, model_type


@pytest.mark.parametrize("key", FORBIDDEN_KEYS)
def test_a_key_that_does_more_than_shape_a_decoder_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=rf"the decoder key '{key}' is not allowed; remove it"):
        check_transformer(LLAMA | {key: "x"})


@pytest.mark.parametrize("key", sorted(TRANSFORMER_KEYS - {"model_type", "attn_implementation"}))
def test_a_value_of_another_type_is_refused(key: str) -> None:
    """Also where a model of transformers reads a key that its configuration does not declare."""
    right = {bool: True, int: 1, float: 0.5, str: "gelu", list: [], tuple: (), Mapping: {}}
    for kind, value in right.items():
        if any(issubclass(type(value), allowed) for allowed in TRANSFORMER_TYPES[key]) and not (
            kind is bool and bool not in TRANSFORMER_TYPES[key]
        ):
            assert check_transformer(GPT2 | {key: value})[key] == value
        else:
            with pytest.raises(ValueError, match=rf"{key} = .* is not (true or false|a whole number|a |a list)"):
                check_transformer(GPT2 | {key: value})
    assert check_transformer(GPT2 | {key: None})[key] is None


def test_the_types_are_those_that_transformers_declares() -> None:
    """A default value of a configuration of transformers must never be refused."""
    for model_type in MODEL_TYPES:
        defaults = CONFIG_MAPPING[model_type]().to_dict()
        known = {key: value for key, value in defaults.items() if key in TRANSFORMER_KEYS}
        assert check_transformer(known | {"model_type": model_type})


def test_notes_of_transformers_are_left_out() -> None:
    notes = {"_name_or_path": "someone/model", "transformers_version": "5.0", "dtype": "bfloat16", "use_cache": False}
    assert check_transformer(GPT2 | notes) == GPT2
    assert DecoderConfig(transformer=GPT2 | notes).transformer == GPT2


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"model_type": "mixtral"}, "model_type 'mixtral' are not supported; choose from arcee, "),
        ({"model_type": ["llama"]}, "are not supported"),
        ({"attn_implementation": "kernels-community/flash-attn3"}, "flash-attn3' is not supported; choose from eager,"),
        ({"attn_implementation": "flash_attention_2"}, "'flash_attention_2' is not supported"),
        ({"attn_implementation": {"": "x"}}, "attn_implementation .* is not supported"),
        ({"dtype": "float99"}, "dtype 'float99' is not supported; choose from float32, float16, bfloat16"),
        ({"torch_dtype": ["float32"]}, "torch_dtype .* is not supported"),
        ({"num_hidden_layers": MAX_LAYERS + 1}, "num_hidden_layers = 257 is outside -1 to 256"),
        ({"hidden_size": 2**30}, "hidden_size = 1073741824 is outside"),
        ({"max_position_embeddings": MAX_NUMBER + 1}, "max_position_embeddings = 1048577 is outside"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps = nan is not a number"),
        ({"layer_types": ["x"] * 1025}, "layer_types is not a simple value"),
        ({"rope_parameters": {"a": {"b": {"c": {"d": 1}}}}}, "is not a simple value"),
        ({"rope_parameters": {"factor": 10**9}}, r"rope_parameters\.factor = 1000000000 is outside"),
    ],
)
def test_the_configuration_of_a_decoder_is_limited(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=fault):
        DecoderConfig(transformer=LLAMA | changes)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"encoder": {"name": "test_vit", "image_size": 10**5}}, "encoder.image_size"),
        ({"encoder": {"name": "test_vit", "channels": 10**9}}, "encoder.channels"),
        ({"encoder": {"name": "test_vit", "mean": float("nan")}}, "encoder.mean"),
        ({"encoder": {"name": "test_vit", "std": float("inf")}}, "encoder.std"),
        ({"projector": {"hidden": 10**9}}, "projector.hidden"),
        ({"projector": {"patch_tokens": 10**12}}, "projector.patch_tokens"),
        ({"projector": {"numbers": 10**9}}, "projector.numbers"),
        ({"decoder": {"layers": 10**6}}, "decoder.layers"),
        ({"decoder": {"width": 2**30}}, "decoder.width"),
        ({"decoder": {"positions": 10**12}}, "decoder.positions"),
        ({"vocabulary_size": 10**9}, "vocabulary_size"),
        ({"scope": {"recognizer": {"classes": ["upright", "foreign"], "max_distance": 1, "grid": 65}}}, "grid"),
        (
            {"scope": {"recognizer": {"classes": ["upright", "foreign"], "max_distance": 1, "components": 10**9}}},
            "components",
        ),
        ({"scope": {"max_images": 10**9}}, "scope.max_images"),
        ({"attributes": [{"name": "modality", "values": [str(i) for i in range(1025)]}]}, "attributes.0.values"),
        ({"finding_schema": {"name": "many", "findings": [str(i) for i in range(1025)]}}, "1025 findings; use at most"),
        ({"preprocessing": [{"name": "clahe"}] * 33}, "preprocessing"),
        ({"name": "x\x1b]0;title\x07"}, "contains control characters"),
        ({"name": "x\nDRAFT"}, "contains control characters"),
        ({"name": "x\u202eevil"}, "contains control characters"),
        ({"name": "x" * 201}, "at most 200 characters"),
    ],
)
def test_every_size_of_a_model_is_limited(changes: dict[str, Any], fault: str) -> None:
    values = tiny_config().model_dump() | {"findings": {"present": ()}} | changes
    if "finding_schema" not in changes:
        values["findings"] = tiny_config().findings
    with pytest.raises(pydantic.ValidationError, match=fault):
        ModelConfig.model_validate(values)
