"""The configuration of a model, as written to `config.json`. It is checked once, here; modules receive plain values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from report_gen.records import AttributeName, FindingSchema, FindingState, ViewPosition

STATES: tuple[FindingState, ...] = tuple(FindingState)
"""Order of the states in every tensor of finding states: present, absent, uncertain, unknown."""

Scalar = str | int | float | bool

ImageClass = Literal["upright", "lateral", "rotated_90", "rotated_180", "rotated_270", "inverted", "foreign"]
"""What an image shows: an image as the model was trained on, the same from the side, rotated counterclockwise or with
inverted gray levels, or something else."""

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


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, defer_build=True)


class EncoderConfig(_Frozen):
    name: str
    """Any timm architecture, CNN or ViT, such as `mobilenetv2_100` or `vit_small_patch16_224`."""
    arguments: dict[str, Scalar] = {}
    """Further keyword arguments of `timm.create_model`."""
    image_size: int = Field(default=224, ge=32)
    """Side of the square that an image is fitted into, pixels."""
    channels: int = Field(default=3, ge=1)
    """Channels of the encoder's input; the gray image is repeated."""
    mean: float = 0.5
    """Subtracted from intensities in 0..1."""
    std: float = Field(default=0.5, gt=0)
    """Divides the intensities after the mean is subtracted."""


class CropBordersStep(_Frozen):
    """Crops uniform borders, dark or bright: the area outside the collimator, and unexposed or black margins."""

    name: Literal["crop_borders"]
    """Selects this step."""
    tolerance: float = Field(default=0.04, ge=0, le=0.5)
    """Largest difference from the median of the outermost line at which a pixel belongs to the border, intensities
    0..1."""
    share: float = Field(default=0.98, gt=0.5, le=1)
    """Share of a line's pixels that must belong to the border, so that noise and small markers do not stop the crop."""
    remaining: float = Field(default=0.4, gt=0, le=1)
    """Least share of the rows and of the columns that remain; if fewer would remain, nothing is cropped."""


class CropBandsStep(_Frozen):
    """Crops bands with burned-in text along the edges. Text over the anatomy stays."""

    name: Literal["crop_bands"]
    """Selects this step."""
    stroke: float = Field(default=0.01, gt=0, le=0.05)
    """Largest stroke width of the text, as a share of the longer side of the image."""
    contrast: float = Field(default=0.2, gt=0, le=1)
    """Least difference between text and background, intensities 0..1."""
    tolerance: float = Field(default=0.04, ge=0, le=0.5)
    """Largest deviation of the background of a band from uniform, intensities 0..1."""
    depth: float = Field(default=0.25, gt=0, lt=0.5)
    """Largest share of the rows or columns that a band takes; a larger uniform area is not a band."""


class MedianStep(_Frozen):
    """Replaces each pixel by the median of its neighborhood, which removes single bright and dark pixels."""

    name: Literal["median"]
    """Selects this step."""
    size: Literal[3, 5, 7, 9] = 3
    """Side of the neighborhood, pixels."""


class NonLocalMeansStep(_Frozen):
    """Removes noise by averaging pixels with similar surroundings (non-local means, Buades et al., CVPR 2005)."""

    name: Literal["non_local_means"]
    """Selects this step."""
    sigma: float = Field(default=0.02, gt=0, le=0.5)
    """Standard deviation of the noise, intensities 0..1."""
    strength: float = Field(default=0.8, gt=0, le=4)
    """Width of the similarity weights in multiples of sigma; higher values smooth more."""
    patch: int = Field(default=5, ge=3, le=9)
    """Side of the compared surroundings, pixels."""
    distance: int = Field(default=4, ge=1, le=10)
    """Largest distance of averaged pixels along each axis, pixels. The time grows with its square."""


class ClaheStep(_Frozen):
    """Raises the local contrast (contrast-limited adaptive histogram equalization, CLAHE, Zuiderveld 1994)."""

    name: Literal["clahe"]
    """Selects this step."""
    tiles: int = Field(default=8, ge=1, le=64)
    """Tiles along each axis, each with a histogram of its own."""
    limit: float = Field(default=2.5, ge=1, le=100)
    """Largest slope of a tile's mapping, in multiples of the slope of the identity; 1 hardly changes the image."""
    bins: int = Field(default=1024, ge=64, le=16384)
    """Bins of a histogram: intensity levels that a tile distinguishes."""


class PercentilesStep(_Frozen):
    """Stretches the intensities between two percentiles of the image to 0..1 and clips those outside."""

    name: Literal["percentiles"]
    """Selects this step."""
    lower: float = Field(default=0.5, ge=0, lt=50)
    """Percentile that becomes 0."""
    upper: float = Field(default=99.5, gt=50, le=100)
    """Percentile that becomes 1."""


PreprocessingStep = Annotated[
    CropBordersStep | CropBandsStep | MedianStep | NonLocalMeansStep | ClaheStep | PercentilesStep,
    Field(discriminator="name"),
]
"""A step that changes an image [H,W] of intensities 0..1 before it is fitted into the square of the encoder."""


class ProjectorConfig(_Frozen):
    patch_tokens: Annotated[int, Field(ge=0)] | Literal["all"] = 16
    """Visual tokens that carry the patches: a number of attention-pooled tokens, `all` for one per patch, 0: none."""
    hidden: int = Field(default=256, ge=1)
    """Width inside the multi-layer perceptrons."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of patch features dropped during training."""
    numbers: int = Field(default=64, ge=2)
    """Number of values into which features are pooled, each the mean of a group of channels; for `numbers` only."""
    decimals: int = Field(default=2, ge=0, le=6)
    """Decimal places of these values."""


class DecoderConfig(_Frozen):
    width: int = Field(default=256, ge=8)
    """D_txt. Ignored where `transformer` is given."""
    layers: int = Field(default=4, ge=1)
    """Transformer blocks. Ignored where `transformer` is given."""
    heads: int = Field(default=4, ge=1)
    """Attention heads per block. Ignored where `transformer` is given."""
    positions: int = Field(default=512, ge=16)
    """Longest T = K + P + R. Ignored where `transformer` is given."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout of a decoder built from scratch."""
    transformer: dict[str, Any] | None = None
    """Configuration of any causal language model of transformers, with its `model_type`; None builds a GPT-2."""

    @model_validator(mode="after")
    def _check(self) -> DecoderConfig:
        if self.transformer is None and self.width % self.heads:
            raise ValueError(f"{self.heads} heads cannot share a width of {self.width}; choose a multiple")
        return self


class FindingConfig(_Frozen):
    """Calibration and thresholds of the finding head: from logits to probabilities, and to conditioning states."""

    temperature: float = Field(default=1.0, gt=0)
    """Divides the logits, so that probabilities are calibrated (Guo et al., ICML 2017)."""
    trained: tuple[bool, ...] | None = None
    """Whether the head was trained on a finding, so that its probability is reported. None: where `present` is set."""
    present: tuple[float | None, ...]
    """Minimum probability of a present finding. None: the finding stays unknown, as it is untrained or too rare."""
    uncertain: tuple[float | None, ...] = Field(default_factory=lambda data: (None,) * len(data.get("present", ())))
    """Minimum probability of an uncertain finding. None: the finding is never uncertain."""

    @model_validator(mode="after")
    def _check(self) -> FindingConfig:
        for name in ("present", "uncertain"):
            values = getattr(self, name)
            if any(value is not None and not (0 < value <= 1) for value in values):
                raise ValueError(f"{name} contains a threshold outside 0..1; correct it")
        return self

    @classmethod
    def unknown(cls, findings: int, *, trained: tuple[bool, ...] | None = None) -> FindingConfig:
        """Return a configuration without thresholds, in which all of this number of findings stay unknown."""
        return cls(present=(None,) * findings, trained=trained)

    @property
    def reported(self) -> tuple[bool, ...]:
        """Whether the probability of each finding is reported."""
        return tuple(value is not None for value in self.present) if self.trained is None else self.trained


class AttributeConfig(_Frozen):
    """An attribute that a head classifies and the decoder is conditioned on."""

    name: AttributeName
    values: tuple[str, ...] = Field(min_length=1)
    """Values in the order of the logits of the head."""

    @model_validator(mode="after")
    def _check(self) -> AttributeConfig:
        if len(set(self.values)) < len(self.values) or "" in self.values:
            raise ValueError(f"the values of {self.name} contain a duplicate or an empty value; remove it")
        return self

    @property
    def conditioning_values(self) -> tuple[str, ...]:
        """Values in the order of every tensor of attribute values; the first is "" for unknown."""
        return ("", *self.values)

    def index(self, value: str) -> int:
        """Return the position of a value in `conditioning_values`; 0, which means unknown, if it is not among them."""
        return self.conditioning_values.index(value) if value in self.values else 0


class RecognizerConfig(_Frozen):
    """Classes and thresholds of the image recognizer, see `model/recognizer.py`."""

    classes: tuple[ImageClass, ...]
    """Classes in the order of the logits; `foreign` is the last."""
    grid: int = Field(default=3, ge=1)
    """Patch features are averaged in `grid` x `grid` cells of the image."""
    components: int = Field(default=64, ge=1)
    """Number of principal components that reconstruct the features of an image."""
    max_foreign: float = Field(default=0.5, gt=0, le=1)
    """Maximum probability of `foreign` of an image that is drafted."""
    max_distance: float = Field(gt=0)
    """Maximum reconstruction error of an image that is drafted, in standard deviations of a feature."""

    @model_validator(mode="after")
    def _check(self) -> RecognizerConfig:
        if len(set(self.classes)) < len(self.classes) or "upright" not in self.classes or self.classes[-1] != "foreign":
            raise ValueError("the classes of the recognizer are each class once, with upright, and foreign as the last")
        return self


class DeclaredScope(_Frozen):
    """Studies that a model was made for. Others are refused, unless the user forces a draft.

    Attributes that a header does not have, or has with an unknown value, exclude nothing.
    """

    modalities: tuple[str, ...] = ()
    """DICOM modalities, such as CR and DX. Empty: any."""
    body_parts: tuple[str, ...] = ()
    """Body parts by the names of `imaging/vocabularies/body_parts.toml`, such as chest. Empty: any."""
    views: tuple[str, ...] = ()
    """View positions, such as PA and AP. Images in other views are left out of a study. Empty: any."""
    min_age: float | None = Field(default=None, ge=0)
    """Minimum age of the patient, years. None: any."""
    max_age: float | None = Field(default=None, gt=0)
    """Maximum age of the patient, years. None: any."""
    humans_only: bool = True
    """Whether animals are outside the scope."""
    max_images: int = Field(default=16, ge=1)
    """Maximum number of images of one study; more would exhaust the memory."""


class ScopeConfig(DeclaredScope):
    """The declared scope, and what recognizes foreign images."""

    recognizer: RecognizerConfig | None = None
    """Recognizer of foreign images. None: the model has none, and every image is drafted."""


class TrainedViews(_Frozen):
    """The views that a model was trained on. Other views must not reach it: their embedding is untrained."""

    images: dict[ViewPosition, Annotated[int, Field(ge=1)]] = {}
    """Number of training images by the view that the corpora specify."""
    prompts: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Number of training reports by the views that the prompt names, such as "PA and lateral"; "" if it names none."""
    dropout: float = Field(default=0.0, ge=0, le=1)
    """Share of the training images whose view was dropped, so that the model knows images of unknown view."""

    @property
    def embedded(self) -> frozenset[ViewPosition]:
        """Views whose embedding is trained, UNKNOWN among them if views were dropped."""
        return frozenset(self.images) | ({ViewPosition.UNKNOWN} if self.images and self.dropout else frozenset())


class ModelConfig(_Frozen):
    schema_version: Literal[3] = 3
    """Version of this record; `model/migration.py` reads earlier ones."""
    name: str
    """Name of the model in the provenance of every draft."""
    conditioning: ConditioningName = "prefix"
    """How the decoder is conditioned: visual tokens before the text (`prefix`) or in cross-attention layers, or pooled
    features written as digits before the prompt (`numbers`, a baseline)."""
    vocabulary_size: int = Field(ge=8)
    encoder: EncoderConfig
    preprocessing: tuple[PreprocessingStep, ...] = ()
    """Steps that change every image before it is fitted into the square of the encoder, in order."""
    projector: ProjectorConfig = Field(default_factory=ProjectorConfig)
    decoder: DecoderConfig = Field(default_factory=DecoderConfig)
    finding_schema: FindingSchema
    """Findings of the model. Their number determines the shapes of weights, thresholds and targets."""
    findings: FindingConfig = Field(
        default_factory=lambda data: FindingConfig.unknown(
            len(data["finding_schema"].findings) if "finding_schema" in data else 0
        )
    )
    """Calibration and thresholds of the findings."""
    attributes: tuple[AttributeConfig, ...] = ()
    """Attributes that the model classifies; each takes one visual token."""
    scope: ScopeConfig = Field(default_factory=ScopeConfig)
    """Studies that the model was made for."""
    trained_views: TrainedViews | None = None
    """Views of the training images and prompts; other views are replaced. None: not recorded, as in version 0.1."""

    @model_validator(mode="after")
    def _check_findings(self) -> ModelConfig:
        count = len(self.finding_schema.findings)
        for name in ("trained", "present", "uncertain"):
            values = getattr(self.findings, name)
            if values is not None and len(values) != count:
                raise ValueError(
                    f"findings.{name} has {len(values)} values; the schema {self.finding_schema.name!r} has {count} "
                    "findings"
                )
        return self

    @model_validator(mode="after")
    def _check_attributes(self) -> ModelConfig:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) < len(names):
            raise ValueError(f"attributes contains a duplicate: {', '.join(names)}; keep one")
        return self
