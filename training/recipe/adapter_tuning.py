"""Recipe that fine-tunes a published model with low-rank adapters. Its key `model` is a text, not a table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from report_gen.config import FrozenModel
from report_gen.records import SectionName

from .corpus import CorpusSource
from .run_settings import RunSettings
from .training_steps import TrainingSteps

ModelPart = Literal["language", "projector"]


class LoraSettings(FrozenModel):
    rank: int = Field(default=16, ge=1, le=4096)
    """Rank of an adapter."""
    alpha: float = Field(default=32.0, gt=0, le=1e6)
    """Scale of the adapters is alpha / rank."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Dropout before an adapter."""
    parts: tuple[ModelPart, ...] = Field(default=("language",), min_length=1)
    """Parts of the model that are trained. `language`: adapters on all linear layers of the language model except its
    output layer. `projector`: the layers between image encoder and language model, which are trained completely because
    they are small. The image encoder is not trained."""


class TuningText(FrozenModel):
    drop_priors: bool = True
    """Remove comparisons with an earlier study, unless the corpus names that study, which the prompt can state then."""
    sections: tuple[Literal[SectionName.FINDINGS, SectionName.IMPRESSION], ...] = (SectionName.FINDINGS,)
    """Sections that a cleaned report must have; studies without them are left out."""
    max_report_tokens: int = Field(default=400, ge=8, le=65_536)
    """Maximum number of tokens of a report. A longer one is cut, and the model does not learn to end it there."""


class TuningRecipe(RunSettings, TrainingSteps):
    model: Annotated[str, Field(min_length=1, max_length=1000)]
    """The model: a description (a TOML file, relative to `data`, or the name of one in the package), the folder of a
    model of transformers, or `hf:` and a name of the hub."""
    corpora: tuple[CorpusSource, ...] = Field(min_length=1)
    """The training corpora. Their studies are pooled."""
    text: TuningText = Field(default_factory=TuningText)
    """Cleaning of the reports."""
    lora: LoraSettings = Field(default_factory=LoraSettings)
    """Low-rank adapters (LoRA, Hu et al., ICLR 2022)."""
    batch_size: int = Field(default=1, ge=1, le=65_536)
    """Studies B per batch. Memory grows with it; `accumulate` makes larger steps."""
    accumulate: int = Field(default=16, ge=1, le=65_536)
    """Batches per optimizer step; their gradients are added up."""
    learning_rate: float = Field(default=1e-4, gt=0, le=1)
    """Peak learning rate of AdamW."""
    validation_drafts: int = Field(default=50, ge=1, le=1_000_000_000)
    """Maximum number of validation studies, the same at every validation. Loss and drafts are of these."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Data type of the frozen weights, and arithmetic of the forward pass; trained weights are float32. `auto`: that of
    the description."""
    checkpoint_activations: bool = True
    """Recompute activations in the backward pass (gradient checkpointing): less memory, about a third more time."""

    @model_validator(mode="after")
    def _check(self) -> TuningRecipe:
        names = [corpus.name for corpus in self.corpora]
        if len(set(names)) < len(names):
            raise ValueError(f"corpora have duplicate names: {', '.join(names)}; give each its own name")
        return self
