"""Load the published model of a recipe, and add the adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig

from report_gen.backends import HubBackend, ModelDescription, load_backend
from report_gen.drafting import ChatGenerator, CheckpointSource, DescribedSource, find_source
from report_gen.errors import RecipeError
from report_gen.model import resolve_device

from ..optimization import checkpoint_activations
from ..recipe import TuningRecipe
from .adapters import add_adapters


@dataclass(frozen=True, kw_only=True)
class TunableModel:
    """A published model with adapters, and the drafts that it writes."""

    description: ModelDescription
    backend: HubBackend
    generator: ChatGenerator
    lora: LoraConfig

    @property
    def network(self) -> Any:
        """The model of transformers."""
        return self.backend.model

    def autocast(self) -> torch.autocast:
        """Return the context of a forward pass: bfloat16 for a model of bfloat16, whose trained weights are float32."""
        is_half = self.network.dtype == torch.bfloat16
        return torch.autocast(self.network.device.type, torch.bfloat16, enabled=is_half)


def describe_model(recipe: TuningRecipe) -> ModelDescription:
    """Return the description of the model of a recipe.

    Raises:
        CheckpointError: There is no such model.
        RecipeError: The model cannot be fine-tuned.
        UsageError: The description has a fault.
    """
    path = recipe.resolve(recipe.model)
    source = find_source(path if path.exists() else recipe.model)
    if isinstance(source, CheckpointSource):
        raise RecipeError(
            f"model: {recipe.model} is a checkpoint of report-gen; train it with a recipe that has [model] and "
            "[[stages]]"
        )
    if not isinstance(source, DescribedSource):
        raise TypeError(source)
    settings = source.model.settings
    if settings.backend == "endpoint":
        raise RecipeError(f"model: {recipe.model} is an endpoint, whose weights are on its server; name a local model")
    if settings.adapter is not None:
        raise RecipeError(f"model: {recipe.model} has an adapter already; name its base, {settings.model}")
    if settings.runtime.quantization:
        raise RecipeError(
            f"model: {recipe.model} is quantized, and such weights are not trained; remove runtime.quantization"
        )
    return source.model


def model_location(description: ModelDescription) -> str:
    """Return the absolute path of a local model, or its name at the hub."""
    local = description.folder / description.settings.model
    return str(local.absolute()) if local.is_dir() else description.settings.model


def load_tunable_model(recipe: TuningRecipe, description: ModelDescription) -> TunableModel:
    """Load a model onto one device, and add the adapters of a recipe.

    Raises:
        CheckpointError: The model cannot be loaded.
        RecipeError: The model has no layers of the parts that the recipe names, or is of float16.
        ResourceError: Memory is exhausted.
    """
    device = str(resolve_device("auto"))  # a device map could leave layers where they cannot be trained
    backend = load_backend(description, device=device, dtype=recipe.dtype)
    if not isinstance(backend, HubBackend):
        raise TypeError(backend)
    model, info = backend.model, backend.info
    if model.dtype == torch.float16:
        raise RecipeError(f'dtype: {info.model} is of float16, in which gradients vanish; set dtype = "bfloat16"')
    location = model_location(description)
    lora = add_adapters(model, recipe.lora, name=location, revision=info.revision, seed=recipe.seed)
    if recipe.checkpoint_activations:
        checkpoint_activations(model)
    generator = ChatGenerator(description, backend)
    return TunableModel(description=description, backend=backend, generator=generator, lora=lora)
