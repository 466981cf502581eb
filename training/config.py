"""A training run as a recipe: a frozen record read from TOML, with `--set key=value` on top, checked at once."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator

from report_gen.errors import RecipeError
from report_gen.model.config import DecoderConfig, EncoderConfig, ProjectorConfig
from report_gen.report import SectionName

RECIPES = Path(__file__).with_name("recipes")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CorpusRecipe(_Frozen):
    name: str
    """How stages speak of it."""
    path: str
    """Folder or file, relative to `data`."""
    layout: str | None = None
    """Layout of the corpus; found by looking where it is not given."""
    exclude: tuple[str, ...] = ()
    """Study ids left out of everything, such as studies kept for a demonstration."""
    soft_labels: float = Field(default=0.0, ge=0, le=1)
    """Share of the soft labels of another model in the finding targets, where the corpus has them."""
    recombined: int = Field(default=0, ge=0)
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
    reconcile: bool = False
    """Leave out sentences that deny what their report states, and reports that conclude what they do not describe."""
    sections: tuple[SectionName, ...] = (SectionName.FINDINGS,)
    """Sections that a cleaned report must have to be used."""
    longest: int = Field(default=160, ge=8)
    """Report tokens R; longer reports are cut at a sentence."""


class ModelRecipe(_Frozen):
    conditioning: Literal["prefix", "cross_attention"] = "prefix"
    """Visual tokens before the text, or in cross-attention layers."""
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
    modalities: tuple[str, ...] = ()
    """DICOM modalities that the corpora hold; a draft of another one bears a notice."""
    views: tuple[str, ...] = ()
    """View positions that the image corpora hold; images in other views are left out of drafts."""


class Rates(_Frozen):
    encoder: float = Field(default=0.0, ge=0)
    """Learning rate of the encoder; 0 freezes it."""
    projector: float = Field(default=0.0, ge=0)
    """Learning rate of the projector and the finding head; 0 freezes them."""
    decoder: float = Field(default=0.0, ge=0)
    """Learning rate of the decoder and the state embeddings; 0 freezes them."""


class StageRecipe(_Frozen):
    name: str
    """Shown in the progress bar and the log."""
    corpora: tuple[str, ...]
    """Names of the corpora that this stage draws batches from, in turn."""
    steps: int = Field(ge=1)
    """Optimiser steps at most."""
    batch_size: int = Field(default=16, ge=1)
    """B."""
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
    rarity: float = Field(default=0.0, ge=0, le=1)
    """0 draws reports evenly; 1 draws every finding equally often, so that rare ones are learned."""
    assume_absent: float = Field(default=0.5, ge=0, le=1)
    """Chance that a finding a text does not mention is told to the decoder as absent."""
    forget_states: float = Field(default=0.0, ge=0, le=1)
    """Chance that a study with images is told no state at all, so that the images have to speak."""
    forget_indication: float = Field(default=0.5, ge=0, le=1)
    """Chance that a prompt goes without its indication."""
    augment: bool = True
    """Small rotation, scale, shift and contrast of the images. Never flips: they would swap left and right."""
    validate_every: int = Field(default=100, ge=1)
    """Steps between two validations."""
    patience: int = Field(default=5, ge=1)
    """Validations without a better loss after which the stage ends."""


class Recipe(_Frozen):
    name: str
    """Name of the model, and of its run folder."""
    data: str = "."
    """Folder that the paths of the recipe are relative to; itself relative to the current folder."""
    seed: int = 0
    """Everything random follows from it."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward pass; `auto` measures at the start of every stage which is faster."""
    workers: int = Field(default=0, ge=0)
    """Processes that read images ahead."""
    stored_weights: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type in which the checkpoint stores its weights."""
    text: TextRecipe = TextRecipe()
    """Words."""
    corpora: tuple[CorpusRecipe, ...] = Field(min_length=1)
    """What is learned from."""
    model: ModelRecipe
    """What learns."""
    stages: tuple[StageRecipe, ...] = Field(min_length=1)
    """In which order."""
    card: str = ""
    """Opening words of the model card: what it was trained on and what it cannot do."""

    @model_validator(mode="after")
    def _check_stages(self) -> Recipe:
        names = [corpus.name for corpus in self.corpora]
        for stage in self.stages:
            if not any(stage.rates.model_dump().values()):
                raise ValueError(f"stage {stage.name!r} learns nothing; give one of its rates")
            for name in stage.corpora:
                if name not in names:
                    raise ValueError(f"stage {stage.name!r} names the corpus {name!r}; there are {', '.join(names)}")
        return self

    def resolve(self, path: str) -> Path:
        return Path(self.data) / path


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe:
    """A recipe by file, or by the name of one that comes with the package, with `key.key=value` settings on top.

    Raises:
        RecipeError: it cannot be read, or a key is unknown or ill-typed; the message names the nearest key.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        path = RECIPES / f"{name_or_path}.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise RecipeError(f"{name_or_path}: no such recipe; give a TOML file or one of {known}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not TOML ({error}); correct that line") from error
    for setting in settings:
        _apply(tree, setting)
    try:
        return Recipe.model_validate(tree)
    except pydantic.ValidationError as error:
        raise RecipeError(f"{path}: {_explain_fault(error)}") from error


def explain() -> Iterable[tuple[str, str, str]]:
    """(key, default, meaning) of every field of a recipe."""
    yield from _explain(Recipe, "")


def _apply(tree: dict[str, Any], setting: str) -> None:
    """Set one dotted key; numbers address the items of a list, as in `stages.0.steps=10`."""
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError(f"--set {setting}: write key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.split(".")
    node: Any = tree
    try:
        for part in parents:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        node[int(last) if isinstance(node, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise RecipeError(f"--set {setting}: the recipe has no such place") from error


def _explain_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors()[0]
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] != "extra_forbidden":
        return f"{where or 'recipe'}: {fault['msg'].removeprefix('Value error, ')}"
    keys = sorted({key.rsplit(".", 1)[-1] for key, _, _ in explain()})
    near = difflib.get_close_matches(str(fault["loc"][-1]), keys, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; report-gen train --explain lists the keys"
    return f"unknown key {where!r}{hint}"


def _explain(model: type[BaseModel], prefix: str) -> Iterable[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        nested = _nested(field.annotation)
        default = "required" if field.is_required() else "" if nested else repr(field.default)
        yield f"{prefix}{name}", default, field.description or ""
        if nested:
            yield from _explain(nested, f"{prefix}{name}.")


def _nested(annotation: Any) -> type[BaseModel] | None:
    """The record inside a field's type: itself, or the items of a tuple."""
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
