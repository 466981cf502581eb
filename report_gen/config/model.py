"""The configuration of a model, as written to `config.json`. It is checked once, here; modules receive plain values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, PositiveFloat, field_validator, model_validator

from report_gen.config.adapter import AdapterConfig
from report_gen.config.architecture import (
    MAX_LAYERS,
    MAX_NUMBER,
    MAX_WIDTH,
    VOLUME_ENCODERS,
    check_encoder_arguments,
    check_encoder_name,
    check_encoder_size,
    check_transformer,
)
from report_gen.config.base import FrozenModel, ShortText
from report_gen.config.changes import ChangeConfig
from report_gen.config.heads import AttributeConfig, FindingConfig, LocationConfig
from report_gen.config.scope import ScopeConfig, TrainedViews
from report_gen.config.sequence import SequenceConfig
from report_gen.config.steps import PreprocessingStep
from report_gen.config.volumes import VolumeConfig, check_volumes
from report_gen.records import FindingSchema, FindingState, ViewPosition

STATES: tuple[FindingState, ...] = tuple(FindingState)
"""Order of the states in every tensor of finding states: present, absent, uncertain, unknown."""

VIEWS: tuple[ViewPosition, ...] = tuple(ViewPosition)
"""Order of the view positions in every tensor of them."""

Scalar = str | int | float | bool

MAX_FINDINGS = 1024
"""Largest number of findings of a model."""
MAX_STEPS = 12
"""Largest number of preprocessing steps."""

ConditioningName = Literal["prefix", "cross_attention", "numbers"]


class ConditioningTraits(NamedTuple):
    """Properties of a conditioning method that are known before a model is built; see `model/conditioning.py`."""

    uses_findings: bool
    """Whether the decoder is conditioned on findings and attributes, so that a user can override them."""
    trains_encoder: bool
    """Whether the gradient of the report loss reaches the image encoder and the projector."""


CONDITIONING_TRAITS: Mapping[ConditioningName, ConditioningTraits] = MappingProxyType(
    {
        "prefix": ConditioningTraits(uses_findings=True, trains_encoder=True),
        "cross_attention": ConditioningTraits(uses_findings=True, trains_encoder=True),
        "numbers": ConditioningTraits(uses_findings=False, trains_encoder=False),
    }
)


class EncoderConfig(FrozenModel):
    """The image encoder, a model of timm or of this package."""

    name: str
    """Any timm architecture, CNN or ViT, such as `mobilenetv2_100` or `vit_small_patch16_224`; of this package
    `gluon_resnetv2_50_stage3`, or `astra_i3resnet152`, which reads whole volumes of CT."""
    arguments: dict[str, Scalar] = Field(default_factory=dict)
    """Further keyword arguments of `timm.create_model` that shape the network; `config/architecture.py` lists them. The
    architectures of this package have none."""
    image_size: int = Field(default=224, ge=32, le=4096)
    """Side of the square that an image is fitted into, pixels."""
    channels: int = Field(default=3, ge=1, le=256)
    """Channels C of the encoder's input. The gray image is repeated, unless `volumes.windows` gives each channel its
    window. For an encoder of volumes, the number of slices that a volume is resampled to, a multiple of 16."""
    mean: float | tuple[float, ...] = 0.5
    """Subtracted from intensities in 0..1: one number, or one for each channel."""
    std: PositiveFloat | tuple[PositiveFloat, ...] = 0.5
    """Divides the intensities after the mean is subtracted: one number, or one for each channel."""

    @property
    def takes_volumes(self) -> bool:
        """Whether the encoder reads whole volumes of CT, whose slices are its channels."""
        return self.name in VOLUME_ENCODERS

    @model_validator(mode="after")
    def _check(self) -> EncoderConfig:
        check_encoder_name(self.name)
        check_encoder_size(self.name, channels=self.channels, image_size=self.image_size)
        check_encoder_arguments(self.arguments)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if isinstance(values, tuple) and len(values) != self.channels:
                raise ValueError(
                    f"{name} has {len(values)} values, but the encoder has {self.channels} channels; give one for each"
                )
        return self


class ProjectorConfig(FrozenModel):
    """The projector from patch features to visual tokens."""

    patch_tokens: Annotated[int, Field(ge=0, le=4096)] | Literal["all"] = 16
    """Visual tokens made from patch features: a number of attention-pooled tokens, `all` for one per patch, or 0."""
    hidden: int = Field(default=256, ge=1, le=MAX_WIDTH)
    """Hidden width of the multi-layer perceptrons of the projector."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of patch features dropped during training."""
    numbers: int = Field(default=64, ge=2, le=4096)
    """Number of values into which features are pooled, each the mean of a group of channels; for `numbers` only."""
    decimals: int = Field(default=2, ge=0, le=6)
    """Decimal places of the pooled values; for `numbers` only."""


class DecoderConfig(FrozenModel):
    """The decoder: a GPT-2 of these sizes, or any causal language model of transformers."""

    width: int = Field(default=256, ge=8, le=MAX_WIDTH)
    """Width of the token embeddings. Ignored where `transformer` is given."""
    layers: int = Field(default=4, ge=1, le=MAX_LAYERS)
    """Transformer blocks. Ignored where `transformer` is given."""
    heads: int = Field(default=4, ge=1, le=MAX_WIDTH)
    """Attention heads per block. Ignored where `transformer` is given."""
    positions: int = Field(default=512, ge=16, le=16_384)
    """Maximum number of visual, prompt and report tokens together. Ignored where `transformer` is given."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of a decoder built from scratch."""
    transformer: dict[str, Any] | None = None
    """Configuration of a causal language model of transformers, with its `model_type`; None builds a GPT-2. Keys and
    types are those listed in `config/architecture.py`."""

    @field_validator("transformer")
    @classmethod
    def _check_transformer(cls, settings: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if settings is None else check_transformer(settings)

    @model_validator(mode="after")
    def _check(self) -> DecoderConfig:
        if self.transformer is None and self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads cannot share a width of {self.width}; make the width a multiple of the heads"
            )
        return self


class ModelConfig(FrozenModel):
    """The configuration of a model."""

    schema_version: Literal[6] = 6
    """Version of this record; `model/migration.py` migrates earlier ones."""
    name: ShortText
    """Name of the model in the provenance of every draft."""
    notice: ShortText = ""
    """First notice of every draft, such as that the model is a demonstration; empty for none."""
    conditioning: ConditioningName = "prefix"
    """How the decoder is conditioned: visual tokens before the text (`prefix`) or in cross-attention layers, or pooled
    features written as digits before the prompt (`numbers`, a baseline)."""
    vocabulary_size: int = Field(ge=8, le=MAX_NUMBER)
    encoder: EncoderConfig
    preprocessing: tuple[PreprocessingStep, ...] = Field(default=(), max_length=MAX_STEPS)
    """Steps that change every image before it is fitted into the square of the encoder, in order."""
    volumes: VolumeConfig | None = None
    """How the model is given slices of volumes; None for a model of single images, which refuses volumes."""
    sequence: SequenceConfig | None = None
    """The sequence encoder; None for a model that sees every view by itself until the projector pools them."""
    projector: ProjectorConfig = Field(default_factory=ProjectorConfig)
    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    adapter: AdapterConfig | None = None
    """The base of the decoder, if the checkpoint is an adapter; None for a checkpoint with all weights."""
    finding_schema: FindingSchema
    """Findings of the model. Their number determines the shapes of weights, thresholds and targets."""
    findings: FindingConfig = Field(
        default_factory=lambda data: FindingConfig.unknown(
            len(data["finding_schema"].findings) if "finding_schema" in data else 0
        )
    )
    """Calibration and thresholds of the findings."""
    locations: LocationConfig | None = None
    """Calibration of the locations of findings; None for a model that does not know where a finding is."""
    changes: ChangeConfig | None = None
    """Changes of findings since an earlier study; None for a model that states none."""
    attributes: tuple[AttributeConfig, ...] = ()
    """Attributes that the model classifies; each takes one visual token."""
    scope: ScopeConfig = Field(default_factory=ScopeConfig)
    """Studies that the model was made for."""
    trained_views: TrainedViews | None = None
    """Views of the training images and prompts; other views are replaced. None: not recorded, as in version 0.1."""

    @model_validator(mode="after")
    def _check_findings(self) -> ModelConfig:
        count = len(self.finding_schema.findings)
        if count > MAX_FINDINGS:
            raise ValueError(f"the schema has {count} findings; use at most {MAX_FINDINGS}")
        names = ("shift", "trained", "present", "uncertain")
        lists = {f"findings.{name}": getattr(self.findings, name) for name in names}
        lists["locations.trained"] = None if self.locations is None else self.locations.trained
        lists["changes.trained"] = None if self.changes is None else self.changes.trained
        for name, values in lists.items():
            if values is not None and len(values) != count:
                raise ValueError(
                    f"{name} has {len(values)} values, but schema {self.finding_schema.name!r} has {count} "
                    "findings; give one value for each"
                )
        if self.findings.normal is not None and not self.finding_schema.normal:
            raise ValueError(
                f"findings.normal has a threshold, but schema {self.finding_schema.name!r} has no finding that means a "
                "normal study; remove it"
            )
        return self

    @model_validator(mode="after")
    def _check_volumes(self) -> ModelConfig:
        check_volumes(self)
        return self

    @model_validator(mode="after")
    def _check_adapter(self) -> ModelConfig:
        if self.adapter is not None and self.decoder.transformer is None:
            raise ValueError("the checkpoint is an adapter, but decoder.transformer does not describe its base; set it")
        return self

    @model_validator(mode="after")
    def _check_attributes(self) -> ModelConfig:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) < len(names):
            raise ValueError(f"attributes contains a duplicate: {', '.join(names)}; keep one")
        return self
