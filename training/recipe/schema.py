"""The recipe of a training run as frozen models. `report-gen train --explain` prints the field docstrings below."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from report_gen.config import CONDITIONING_TRAITS, FrozenModel
from report_gen.records import SectionName

from .corpus import CorpusRecipe
from .decisions import DecisionRecipe
from .model import ModelRecipe
from .names import Label
from .recognizer import RecognizerRecipe
from .run_settings import RunSettings
from .training_steps import TrainingSteps


class TextRecipe(FrozenModel):
    prompt: str = "chest_xray"
    """Name of a built-in prompt, or a prompt file."""
    vocabulary_size: int = Field(default=2000, ge=16, le=1_000_000)
    """Number of pieces in the sentencepiece vocabulary, which is learned from the training reports only."""
    min_word_patients: int = Field(default=5, ge=1, le=1_000_000)
    """A word in the reports of fewer patients becomes no piece of the vocabulary, because the checkpoint contains the
    vocabulary and the word may be a person's name. Such a word is encoded by shorter pieces."""
    drop_priors: bool = True
    """Remove comparisons with an earlier study, because a draft of one study cannot support them."""
    drop_sides: bool = False
    """Remove sides (left, right, bilateral) from sentences: for a model that cannot learn sides from images. If it is
    false and `model.locations` is true, only the sides of findings stay."""
    drop_unknown_concepts: bool = False
    """Remove sentences about anything that the model cannot know, such as devices, surgery, history, bones and
    recommendations, and use only complete reports: a normal report denies what normal reports deny. Known are the
    findings and the words of `data/known_concepts`."""
    unknown_findings: tuple[str, ...] = ()
    """Findings that count as unknown concepts, such as those that too few images are labeled for; for
    `drop_unknown_concepts`. The model reports no probability of them and does not condition the decoder on them."""
    drop_contradictions: bool = False
    """Remove sentences that deny what their report states, and reports whose impression states a finding that the
    findings section does not."""
    sections: tuple[Literal[SectionName.FINDINGS, SectionName.IMPRESSION], ...] = (SectionName.FINDINGS,)
    """Sections that a cleaned report must have; otherwise the study is used without its report."""
    max_report_tokens: int = Field(default=160, ge=8, le=1_000_000)
    """Maximum number R of report tokens; longer reports lose whole sentences."""

    @model_validator(mode="after")
    def _check(self) -> TextRecipe:
        if self.unknown_findings and not self.drop_unknown_concepts:
            raise ValueError("unknown_findings has no effect; set drop_unknown_concepts = true, or remove it")
        return self


class AugmentationRecipe(FrozenModel):
    """Random image changes that keep the report true. Images are never flipped: a flip would swap left and right."""

    degrees: float = Field(default=5.0, ge=0, le=20)
    """Maximum rotation in either direction, degrees."""
    shift: float = Field(default=0.04, ge=0, le=0.2)
    """Maximum shift along either axis, as a share of the image side."""
    scale: float = Field(default=0.08, ge=0, le=0.3)
    """Maximum relative change of size; parts outside the square are cropped."""
    gamma: float = Field(default=1.25, ge=1, le=2)
    """Maximum exponent of the intensities; the minimum is its reciprocal."""
    noise: float = Field(default=0.02, ge=0, le=0.2)
    """Maximum standard deviation of added Gaussian noise, for intensities 0..1."""
    blur: float = Field(default=0.5, ge=0, le=3)
    """Maximum standard deviation of the Gaussian blur, pixels at training size."""
    reduced_px: int = Field(default=0, ge=0, le=4096)
    """Minimum side length to which half of the images are reduced before they are enlarged again, pixels: images of
    lower resolution then look like others. 0 reduces none."""


class ScstRecipe(FrozenModel):
    """Self-critical sequence training (SCST, Rennie et al., CVPR 2017): sampled drafts that score above the greedy
    draft become more likely."""

    weight: float = Field(default=0.0, ge=0)
    """Weight of the SCST loss in the total loss; 0 switches it off."""
    finding_f1_weight: float = Field(default=1.0, ge=0)
    """Weight of the finding F1 (0..1, 14 CheXpert findings, draft against reference) in the reward."""
    cider_weight: float = Field(default=1.0, ge=0)
    """Weight of CIDEr-D (0..10, document frequencies of the training reports) in the reward."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of sampling."""

    @model_validator(mode="after")
    def _check(self) -> ScstRecipe:
        if self.weight and not (self.finding_f1_weight or self.cider_weight):
            raise ValueError("scst has no reward; set finding_f1_weight or cider_weight above 0")
        return self


class Rates(FrozenModel):
    encoder: float = Field(default=0.0, ge=0)
    """Learning rate of the encoder; 0 freezes it."""
    encoder_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor between the learning rates of one encoder layer and the next lower one; below 1, early layers change less.
    Layers are grouped as in timm: the stem, then each block."""
    encoder_layers: int | None = Field(default=None, ge=1, le=4096)
    """Number of last encoder layers to train; the others are frozen. All if not given."""
    frozen_batch_norm: bool = False
    """Whether the batch normalization of the encoder keeps its stored mean and variance. The statistics of a batch
    differ from those of the pretrained weights, so that a head trained on the frozen encoder would lose its
    features."""
    projector: float = Field(default=0.0, ge=0)
    """Learning rate of the sequence encoder, the projector and the heads for findings, locations and attributes; 0
    freezes them."""
    decoder: float = Field(default=0.0, ge=0)
    """Learning rate of the decoder and of the embeddings of states, locations and attributes; 0 freezes them."""

    @model_validator(mode="after")
    def _check(self) -> Rates:
        if not self.encoder and (self.encoder_layers is not None or self.encoder_decay < 1 or self.frozen_batch_norm):
            raise ValueError(
                "encoder_layers, encoder_decay and frozen_batch_norm need rates.encoder above 0; set it, or remove "
                "these keys"
            )
        return self


class StageRecipe(TrainingSteps):
    name: Label
    """Name shown in the progress bar and the log."""
    corpora: tuple[Label, ...]
    """Names of the corpora to train on; `mixing` says how."""
    mixing: Literal["alternate", "pooled"] = "alternate"
    """How corpora share the batches: `alternate` takes whole batches of each corpus in turn, `pooled` draws every batch
    from all corpora of one kind (images, reports or both), by their numbers of studies and their sampling weights."""
    rates: Rates
    """Peak learning rates of encoder, projector and decoder."""
    finding_weight: float = Field(default=1.0, ge=0)
    """Weight of the finding loss in the total loss, in which the report loss has weight 1."""
    attribute_weight: float = Field(default=1.0, ge=0)
    """Weight of the attribute loss in the total loss."""
    location_weight: float = Field(default=1.0, ge=0)
    """Weight of the two location losses in the total loss, for a model with locations: the attention outside the boxes
    of a finding, and the side and zones of a finding in boxes and reports."""
    rare_finding_weight: float = Field(default=0.0, ge=0, le=1)
    """Exponent of the sampling weight 1 / frequency of the rarest finding of a study: 0 samples evenly, 1 samples every
    finding about equally often."""
    assume_absent: float = Field(default=0.5, ge=0, le=1)
    """Probability that a finding that the report does not mention is given to the decoder as absent, not unknown."""
    state_dropout: float = Field(default=0.0, ge=0, le=1)
    """Probability that all finding states of a study with images are unknown to the decoder, so that it must use the
    other visual tokens."""
    location_dropout: float = Field(default=0.3, ge=0, le=1)
    """Probability that the locations of all findings of a study are unknown to the decoder, which then learns the
    report without sides and zones; for `model.locations`. The locations are unknown as well if all states are.
    Validation uses all locations."""
    attribute_dropout: float = Field(default=0.1, ge=0, le=1)
    """Probability that an attribute is unknown to the decoder; otherwise it gets the true value."""
    indication_dropout: float = Field(default=0.5, ge=0, le=1)
    """Probability that a prompt has no indication, study description and admitting diagnoses."""
    view_dropout: float = Field(default=0.15, ge=0, le=1)
    """Probability that the views of a study are unknown to the model and missing in its prompt, as those of a PNG are;
    otherwise the model gets the views of the corpus."""
    augment: bool = True
    """Whether training images are changed at random, as `augmentation` specifies."""
    cached_features: int = Field(default=0, ge=0, le=1000)
    """Variants per image whose patch features are computed once, if the encoder is frozen: the first is the original
    image, further ones are augmented. 0 runs the encoder in every step."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each report token's target that is spread over the vocabulary."""
    abnormal_weight: float = Field(default=1.0, ge=0)
    """Weight in the report loss of tokens in sentences that state a finding; other tokens have weight 1."""
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, which is validated and saved in their place; 0 for none.
    The decay of step n (from 0) is at most (1 + n) / (10 + n)."""
    scst: ScstRecipe = Field(default_factory=ScstRecipe)
    """Self-critical sequence training."""
    validation_decoding: Literal["greedy", "beam", "default"] = "greedy"
    """Decoding of validation drafts: greedy (fast), beam search, or the default of drafting (several times slower)."""


class Recipe(RunSettings):
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` measures at the start of every stage whether bf16 is faster."""
    compile: bool = False
    """Compile the model with torch.compile: pays off in long runs on GPUs, costs minutes at the start."""
    checkpoint_activations: bool = False
    """Recompute the decoder's activations in the backward pass: less memory, about a third more time."""
    workers: int = Field(default=0, ge=0, le=256)
    """Processes that make batches ahead; 0 uses one thread. Images are decoded before the first step, on all cores."""
    cache: str | None = None
    """Folder of decoded images and patch features, relative to `data`; runs that share it decode once. The default is
    `cache` in the run folder. It holds patient images: delete it with them."""
    stored_weights: Literal["float32", "float16", "bfloat16"] = "float32"
    """Data type of the weights in the checkpoint."""
    text: TextRecipe = Field(default_factory=TextRecipe)
    """Cleaning and encoding of the reports."""
    findings: str = "chest_xray"
    """Findings that the model learns: `chest_xray`, `ct_mr`, `none`, or a findings file (TOML), relative to `data`."""
    corpora: tuple[CorpusRecipe, ...] = Field(min_length=1)
    """The training corpora."""
    augmentation: AugmentationRecipe = Field(default_factory=AugmentationRecipe)
    """Random changes of the training images."""
    model: ModelRecipe
    """The model."""
    stages: tuple[StageRecipe, ...] = Field(min_length=1)
    """Training stages, in order."""
    decisions: DecisionRecipe = Field(default_factory=DecisionRecipe)
    """Costs of wrong decisions, from which the thresholds of the finding head follow."""
    recognizer: RecognizerRecipe | None = None
    """The image recognizer, fitted after the last stage. Without it every image is drafted."""

    @model_validator(mode="after")
    def _check_stages(self) -> Recipe:
        names = [corpus.name for corpus in self.corpora]
        if len(set(names)) < len(names):
            raise ValueError(f"corpora have duplicate names: {', '.join(names)}; give each its own name")
        stages = [stage.name for stage in self.stages]
        if len(set(stages)) < len(stages):
            raise ValueError(f"stages have duplicate names: {', '.join(stages)}; give each its own name")
        for stage in self.stages:
            if not any((stage.rates.encoder, stage.rates.projector, stage.rates.decoder)):
                raise ValueError(f"stage {stage.name!r} trains nothing; set one of its rates above 0")
            has_head_loss = stage.finding_weight or (self.model.attributes and stage.attribute_weight)
            trains_encoder = bool(stage.rates.encoder or stage.rates.projector)
            traits = CONDITIONING_TRAITS[self.model.conditioning]
            if not traits.trains_encoder and not has_head_loss and trains_encoder:
                raise ValueError(
                    f"stage {stage.name!r}: the report loss gives encoder and projector no gradient through "
                    f"{self.model.conditioning}; "
                    "remove their rates, or set finding_weight or attribute_weight above 0"
                )
            for name in stage.corpora:
                if name not in names:
                    raise ValueError(f"stage {stage.name!r}: no corpus {name!r}; choose from {', '.join(names)}")
            self._check_weights(stage)
        for name in self.recognizer.corpora if self.recognizer else ():
            if name not in names:
                raise ValueError(f"recognizer: no corpus {name!r}; choose from {', '.join(names)}")
        self._check_channels()
        return self

    def _check_channels(self) -> None:
        """Refuse what works on gray images only, for a model whose channels differ."""
        encoder, volumes = self.model.encoder, self.model.volumes
        has_windows = encoder.takes_volumes or (volumes is not None and volumes.windows is not None)
        if has_windows and self.recognizer is not None:
            raise ValueError("the recognizer draws images without Hounsfield units, which the model needs; remove it")
        own = next((one.name for one in self.corpora if one.mean is not None), None)
        if own is not None and (has_windows or isinstance(encoder.mean, tuple) or isinstance(encoder.std, tuple)):
            raise ValueError(f"corpus {own!r}: mean and std do not suit channels that differ; remove them")

    def _check_weights(self, stage: StageRecipe) -> None:
        weighted = [one.name for one in self.corpora if one.name in stage.corpora and one.sampling_weight != 1]
        if weighted and len(stage.corpora) > 1 and stage.mixing == "alternate":
            raise ValueError(
                f"stage {stage.name!r}: the sampling_weight of the corpus {weighted[0]!r} has no effect, because the "
                'batches of the corpora alternate; set mixing = "pooled", or remove it'
            )
