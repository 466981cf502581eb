"""A training run as a frozen record. `report-gen train --explain` prints what stands under the fields."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from report_gen.config import CONDITIONING_TRAITS, ConditioningName, DecoderConfig, EncoderConfig, ProjectorConfig
from report_gen.records.report import AttributeName, SectionName


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CorpusRecipe(_Frozen):
    name: str
    """How stages speak of it."""
    path: str
    """Folder or file, relative to `data`."""
    layout: str | None = None
    """Layout of the corpus; found by looking where it is not given."""
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training patients that validate in place of the corpus's own validation split, which then counts as
    test: nothing is chosen by it. 0 keeps the splits."""
    exclude: tuple[str, ...] = ()
    """Study ids left out of everything, such as studies kept for a demonstration."""
    soft_labels: float = Field(default=0.0, ge=0, le=1)
    """Share of the soft labels of another model in the finding targets, where the corpus has them."""
    augmented_texts: int = Field(default=0, ge=0)
    """Further training texts, put together from the sentences of several reports; see `recombining.py`."""
    use_images: bool = True
    """False reads the texts alone."""
    use_texts: bool = True
    """False reads the images and labels alone."""


class TextRecipe(_Frozen):
    prompt: str = "chest_xray"
    """A built-in prompt by name, or a file."""
    vocabulary_size: int = Field(default=2000, ge=16)
    """Pieces of the sentencepiece vocabulary, learned from the training texts alone."""
    drop_priors: bool = True
    """Leave out sentences that compare with an earlier study: no draft can know one."""
    drop_sides: bool = False
    """Leave sides (left, right, bilateral) out of sentences: for models that no image-report pair taught one."""
    drop_contradictions: bool = False
    """Leave out sentences that deny what their report states, and reports that conclude what they do not describe."""
    sections: tuple[SectionName, ...] = (SectionName.FINDINGS,)
    """Sections that a cleaned report must have to be used."""
    longest: int = Field(default=160, ge=8)
    """Report tokens R; longer reports are cut at a sentence."""


class ModelRecipe(_Frozen):
    conditioning: ConditioningName = "prefix"
    """Visual tokens before the text, or in cross-attention layers; `numbers` writes features into the prompt instead,
    to be compared with."""
    encoder: EncoderConfig
    """The timm encoder."""
    encoder_weights: str | None = None
    """A safetensors file with weights in timm's names, relative to `data`; `pretrained` asks timm for its own."""
    projector: ProjectorConfig = ProjectorConfig()
    """Patch features to visual tokens."""
    decoder: DecoderConfig = DecoderConfig()
    """The GPT-style decoder."""
    decoder_weights: str | None = None
    """A pretrained causal language model by local folder or hub name, in place of one from scratch."""
    lora: LoraRecipe | None = None
    """Adapters to train in place of the weights of a pretrained decoder."""
    modalities: tuple[str, ...] = ()
    """DICOM modalities that the corpora hold; a draft of another one bears a notice."""
    views: tuple[str, ...] = ()
    """View positions that the image corpora hold; images in other views are left out of drafts."""
    attributes: tuple[AttributeName, ...] = ()
    """Of `modality`, `plane` and `body_part`, those that a head recognises and the decoder is told."""
    attribute_support: int = Field(default=20, ge=1)
    """Training studies with images that must have a value; a rarer one counts as unknown."""

    @model_validator(mode="after")
    def _check_lora(self) -> ModelRecipe:
        if self.lora is not None and self.decoder_weights is None:
            raise ValueError("lora adapts a pretrained decoder; name one in decoder_weights, or leave lora out")
        return self

    @model_validator(mode="after")
    def _check_attributes(self) -> ModelRecipe:
        if len(set(self.attributes)) < len(self.attributes):
            raise ValueError(f"attributes names one twice: {', '.join(self.attributes)}")
        return self


class AugmentationRecipe(_Frozen):
    """Small changes of the images that leave the report true. There is no flip: it would swap left and right."""

    degrees: float = Field(default=5.0, ge=0, le=20)
    """Largest rotation either way."""
    shift: float = Field(default=0.04, ge=0, le=0.2)
    """Largest shift along either axis, as a share of the side."""
    scale: float = Field(default=0.08, ge=0, le=0.3)
    """Largest change of size; what grows past the square is cropped."""
    gamma: float = Field(default=1.25, ge=1, le=2)
    """Largest power of the intensities, and one over the smallest."""
    noise: float = Field(default=0.02, ge=0, le=0.2)
    """Largest standard deviation of added Gaussian noise, of intensities 0..1."""
    blur: float = Field(default=0.5, ge=0, le=3)
    """Largest standard deviation, pixels at training size, of a Gaussian that takes noise away."""


class LoraRecipe(_Frozen):
    """Low-rank adapters (Hu et al., ICLR 2022) on the decoder's frozen weights; merged into them in checkpoints."""

    rank: int = Field(default=8, ge=1)
    """Rank of an adapter."""
    alpha: float = Field(default=16.0, gt=0)
    """Adapters are scaled by alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before an adapter."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get one; peft's choice for the architecture when empty."""


class RewardRecipe(_Frozen):
    """Self-critical fine-tuning (Rennie et al., CVPR 2017): a sampled draft becomes likelier the more it scores
    above the greedy one."""

    weight: float = Field(default=0.0, ge=0)
    """Weight of the self-critical loss beside the others; 0 does without."""
    findings: float = Field(default=1.0, ge=0)
    """Factor of a draft's F1 of findings (0..1, CheXpert's 14 of it against its report's) in its reward."""
    cider: float = Field(default=1.0, ge=0)
    """Factor of its CIDEr-D (0..10), with document frequencies from the training reports."""
    temperature: float = Field(default=1.0, gt=0)
    """Of the sampled draft."""

    @model_validator(mode="after")
    def _check(self) -> RewardRecipe:
        if self.weight and not (self.findings or self.cider):
            raise ValueError("drafts are rewarded for nothing; give findings or cider")
        return self


class Rates(_Frozen):
    encoder: float = Field(default=0.0, ge=0)
    """Learning rate of the encoder; 0 freezes it."""
    encoder_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor of the rate from every layer of the encoder to the one below it; under 1 the early layers move less.
    Layers are timm's: the stem, then block by block."""
    encoder_layers: int | None = Field(default=None, ge=1)
    """Last layers of the encoder that learn, the rest frozen; all when not given."""
    projector: float = Field(default=0.0, ge=0)
    """Learning rate of the projector and the finding head; 0 freezes them."""
    decoder: float = Field(default=0.0, ge=0)
    """Learning rate of the decoder and the state embeddings; 0 freezes them."""

    @model_validator(mode="after")
    def _check(self) -> Rates:
        if not self.encoder and (self.encoder_layers is not None or self.encoder_decay < 1):
            raise ValueError("encoder_layers and encoder_decay need a rate of the encoder above 0")
        return self


class StageRecipe(_Frozen):
    name: str
    """Shown in the progress bar and the log."""
    corpora: tuple[str, ...]
    """Names of the corpora that this stage draws batches from, in turn."""
    steps: int = Field(ge=1)
    """Optimiser steps at most."""
    batch_size: int = Field(default=16, ge=1)
    """B over all processes: studies that go through the model together."""
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients are added up for one step."""
    rates: Rates
    """Peak learning rates of the three parts."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises; then it falls as a half cosine."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's, on matrices only."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    finding_weight: float = Field(default=1.0, ge=0)
    """Weight of the finding loss beside the report loss."""
    attribute_weight: float = Field(default=1.0, ge=0)
    """Weight of the attribute loss beside the report loss."""
    rare_finding_weight: float = Field(default=0.0, ge=0, le=1)
    """0 draws reports evenly; 1 draws every finding equally often, so that rare ones are learned."""
    assume_absent: float = Field(default=0.5, ge=0, le=1)
    """Chance that a finding a text does not mention is told to the decoder as absent."""
    state_dropout: float = Field(default=0.0, ge=0, le=1)
    """Chance that a study with images is told no state at all, so that the images have to speak."""
    attribute_dropout: float = Field(default=0.1, ge=0, le=1)
    """Chance that an attribute is told to the decoder as unknown; otherwise it is told the truth."""
    indication_dropout: float = Field(default=0.5, ge=0, le=1)
    """Chance that a prompt goes without its indication."""
    augment: bool = True
    """Whether images are changed as `augmentation` says."""
    cached_features: int = Field(default=0, ge=0)
    """Variants of every image whose patch features are computed once, as long as the encoder is frozen: 1 is the plain
    image, further ones are augmented. 0 asks the encoder anew at every step."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of every report token's target that is spread over the vocabulary."""
    abnormal_weight: float = Field(default=1.0, ge=0)
    """Weight in the report loss of tokens in sentences that state a finding; all others weigh 1."""
    average: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, which is validated and kept in their place; 0 for none.
    Rises from 0.1 as (1 + step) / (10 + step)."""
    reward: RewardRecipe = RewardRecipe()
    """Self-critical fine-tuning."""
    validate_every: int = Field(default=100, ge=1)
    """Steps between two validations."""
    choose_by: Literal["drafts", "loss"] = "drafts"
    """What the best weights are best at: `drafts` writes reports for validation studies and takes finding macro-F1 +
    CIDEr, and the loss only where there are no texts."""
    drafts: int = Field(default=100, ge=1)
    """Validation studies that are drafted at most, the same every time."""
    validation_decoding: Literal["greedy", "beam", "default"] = "greedy"
    """How validation studies are drafted: greedily (fast), by beam search, or with the default decoding of drafting
    (beam search and sampled candidates, several times slower), which is what users get."""
    fewest_distinct: float = Field(default=0.1, ge=0, le=1)
    """Different drafts among them, as a share of the different references, under which they are worth nothing."""
    patience: int = Field(default=5, ge=1)
    """Validations without a better one after which the stage ends."""


class Recipe(_Frozen):
    name: str
    """Name of the model, and of its run folder."""
    data: str = "."
    """Folder that the paths of the recipe are relative to; itself relative to the current folder."""
    seed: int = 0
    """Everything random follows from it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` measures at the start of every stage which is faster."""
    compile: bool = False
    """torch.compile the model: pays in long runs on GPUs, costs minutes at the start."""
    checkpoint_activations: bool = False
    """Compute the decoder's activations again in the backward pass: less memory, a third more time."""
    workers: int = Field(default=0, ge=0)
    """Processes that make batches ahead; images are decoded once, before the first step, on all cores."""
    cache: str | None = None
    """Folder of the decoded images and patch features, relative to `data`; runs that share it decode once. By default
    it is `cache` in the run folder. It holds patient images: delete it with them."""
    unreadable: Literal["refuse", "leave-out"] = "refuse"
    """What happens to a study with an unreadable image."""
    save_minutes: float = Field(default=10.0, ge=0)
    """Minutes between two saves of the state to resume from, besides those at every validation."""
    tensorboard: bool = True
    """Whether curves and sample drafts are written for TensorBoard too, in the run folder."""
    stored_weights: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type in which the checkpoint stores its weights."""
    text: TextRecipe = TextRecipe()
    """Words."""
    findings: str = "chest_xray"
    """The findings that the model learns: `chest_xray`, `none`, or a findings file (TOML), relative to `data`."""
    corpora: tuple[CorpusRecipe, ...] = Field(min_length=1)
    """What is learned from."""
    augmentation: AugmentationRecipe = AugmentationRecipe()
    """How images are changed while training."""
    model: ModelRecipe
    """What learns."""
    stages: tuple[StageRecipe, ...] = Field(min_length=1)
    """In which order."""
    card: str = ""
    """Opening words of the model card: what it was trained on and what it cannot do."""

    @model_validator(mode="after")
    def _check_stages(self) -> Recipe:
        names = [corpus.name for corpus in self.corpora]
        if len(set(names)) < len(names):
            raise ValueError(f"two corpora have one name; there are {', '.join(names)}")
        stages = [stage.name for stage in self.stages]
        if len(set(stages)) < len(stages):
            raise ValueError(f"two stages have one name; there are {', '.join(stages)}")
        for stage in self.stages:
            if not any((stage.rates.encoder, stage.rates.projector, stage.rates.decoder)):
                raise ValueError(f"stage {stage.name!r} learns nothing; give one of its rates")
            trained = stage.finding_weight or (self.model.attributes and stage.attribute_weight)
            traits = CONDITIONING_TRAITS[self.model.conditioning]
            if not traits.trains_encoder and not trained and _learns_to_see(stage.rates):
                raise ValueError(
                    f"stage {stage.name!r}: no gradient reaches encoder or projector through "
                    f"{self.model.conditioning}; leave their rates out, or train the heads with finding_weight or "
                    "attribute_weight"
                )
            for name in stage.corpora:
                if name not in names:
                    raise ValueError(f"stage {stage.name!r} names the corpus {name!r}; there are {', '.join(names)}")
        return self

    def resolve(self, path: str) -> Path:
        return Path(self.data) / path


def _learns_to_see(rates: Rates) -> bool:
    return bool(rates.encoder or rates.projector)
