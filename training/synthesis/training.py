"""Train an image generator. An interrupted training continues exactly where it was saved."""

from __future__ import annotations

import json
import math
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.optim import AdamW

from report_gen.errors import ReportGenError, StoppedError, UsageError
from report_gen.files import write_folder
from report_gen.word_lists import join_words

from ..data import draw_seed, pass_indices
from ..engine import is_bf16_faster
from ..optimization import MovingAverage
from ..run import (
    catch_stop_signals,
    pack_optimizer,
    read_json,
    snapshot,
    unpack_optimizer,
)
from .generator import ImageGenerator, load_generator, save_generator
from .recipe import GeneratorRecipe, describe_setting
from .training_images import TrainingImages

STATE = "training"
"""Folder within that of the generator, with the state of an unfinished training."""
_CLIP = 1.0
"""Largest norm of the gradient; a larger one is scaled down."""
_LOSS_STEPS = 100
"""Steps over which the loss that is shown is averaged."""


@dataclass(frozen=True)
class _Trained:
    """What a step changes, and what identifies the training."""

    generator: ImageGenerator
    optimizer: AdamW
    average: MovingAverage
    facts: Mapping[str, int | str]
    """Number and digest of the images."""


def train_generator(
    images: TrainingImages,
    recipe: GeneratorRecipe,
    folder: Path,
    findings: Sequence[str],
    *,
    on_step: Callable[[int, float], None],
) -> ImageGenerator:
    """Train a generator, or continue its training, and write it to a folder.

    Args:
        images: The S images.
        recipe: Settings.
        folder: Folder of the generator. It contains what the weights remember of patients' images, and the state of the
            training until the training ends.
        findings: Names of the F findings of the labels.
        on_step: Called with the number of steps done and the mean loss of the latest steps.

    Returns:
        The generator with averaged weights, in evaluation mode.

    Raises:
        UsageError: The folder has a training with other settings or images, or its state is damaged; diffusers is not
            installed.
        StoppedError: A signal asked the training to stop; the same call continues it.
        ReportGenError: The loss is not finite.
        OutputError: The folder cannot be written.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    generator = _initial_generator(recipe, findings).to(memory_format=torch.channels_last).to(device)
    optimizer = AdamW(generator.parameters(), betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    facts: dict[str, int | str] = {"images": len(images.pixels), "images_sha256": images.sha256}
    trained = _Trained(generator, optimizer, MovingAverage(generator, recipe.ema_decay), facts)
    first, bf16 = _restore(folder / STATE, trained)
    batches = _Batches(images, recipe, device)
    if bf16 is None:
        bf16 = _chooses_bf16(recipe, device, lambda: batches.loss(generator, 0))
    recent = deque[float](maxlen=_LOSS_STEPS)
    with catch_stop_signals() as stop:
        for step in range(first, recipe.steps):
            recent.append(_train_step(trained, batches, step, bf16=bf16))
            if not math.isfinite(recent[-1]):
                raise ReportGenError(
                    f"{folder}: the loss is not finite in step {step}; use a lower --set learning_rate=... or "
                    "--set precision=fp32"
                )
            done = step + 1
            on_step(done, float(np.mean(recent)))
            if done < recipe.steps and (stop or done % recipe.save_every == 0):
                _save(folder / STATE, trained, done, bf16=bf16)
                if stop.signal is not None:
                    message = f"{folder}: stopped by {stop.signal.name} in step {done}; continue with --resume"
                    raise StoppedError(message, stop.signal)
    with trained.average.applied():
        save_generator(folder, generator, facts)
    shutil.rmtree(folder / STATE, ignore_errors=True)
    return load_generator(folder)[0].to(device)


def is_unfinished(folder: Path) -> bool:
    """Return whether a folder contains the state of an unfinished training."""
    return (folder / STATE).exists()


class _Batches:
    """The batch of each step and the noise that is added to it, both given by the seed and the step."""

    def __init__(self, images: TrainingImages, recipe: GeneratorRecipe, device: torch.device) -> None:
        self._pixels, self._conditions = torch.from_numpy(images.pixels), images.conditions
        self._recipe, self._device = recipe, device

    def loss(self, generator: ImageGenerator, step: int) -> torch.Tensor:
        recipe = self._recipe
        chosen = pass_indices(len(self._pixels), recipe.batch_size, step, recipe.seed)
        pixels = (self._pixels[chosen].float() / 127.5 - 1).to(self._device)  # [B,size,size]
        noise = torch.Generator().manual_seed(draw_seed(recipe.seed, "noise", step))
        return generator.loss(pixels, self._conditions[chosen].to(self._device), generator=noise)


def _train_step(trained: _Trained, batches: _Batches, step: int, *, bf16: bool) -> float:
    """Make one optimizer step and return its loss; without the step if the gradient is not finite."""
    generator, recipe = trained.generator, trained.generator.recipe
    for group in trained.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _rate(step, recipe.steps)
    trained.optimizer.zero_grad(set_to_none=True)
    with torch.autocast(next(generator.parameters()).device.type, torch.bfloat16, enabled=bf16):
        loss = batches.loss(generator, step)
    torch.autograd.backward(loss)
    if not torch.isfinite(nn.utils.clip_grad_norm_(generator.parameters(), _CLIP)):
        return math.nan
    trained.optimizer.step()
    trained.average.update(step)
    return loss.item()


def _initial_generator(recipe: GeneratorRecipe, findings: Sequence[str]) -> ImageGenerator:
    """Return a generator with initial weights, which diffusers draws from the global generator of random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        return ImageGenerator(recipe, findings)


def _rate(step: int, steps: int) -> float:
    """Return the factor of the learning rate: a rise over a hundredth of the steps, then half a cosine."""
    rise = max(1, steps // 100)
    return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _chooses_bf16(recipe: GeneratorRecipe, device: torch.device, loss: Callable[[], torch.Tensor]) -> bool:
    if recipe.precision != "auto":
        return recipe.precision == "bf16"
    return is_bf16_faster(loss, device)


def _save(folder: Path, trained: _Trained, step: int, *, bf16: bool) -> None:
    record = {"step": step, "bf16": bf16, "recipe": trained.generator.recipe.model_dump(mode="json"), **trained.facts}
    write_folder(
        folder,
        {
            "state.json": json.dumps(record).encode(),
            "model.safetensors": partial(save, snapshot(trained.generator)),
            "optimizer.safetensors": partial(save, pack_optimizer(trained.optimizer)),
            "ema.safetensors": partial(save, trained.average.state()),
        },
    )


def _restore(folder: Path, trained: _Trained) -> tuple[int, bool | None]:
    """Load the state of an unfinished training. Return its steps and whether it is in bf16, else 0 and None.

    Raises:
        UsageError: The state is damaged, or that of other settings or images.
    """
    if not folder.exists():
        return 0, None
    path = folder / "state.json"
    try:
        record = read_json(path)
        recipe = GeneratorRecipe.model_validate(record["recipe"])
        step, bf16 = int(record["step"]), bool(record["bf16"])
        if recipe == trained.generator.recipe and all(record[key] == value for key, value in trained.facts.items()):
            trained.generator.load_state_dict(load_file(folder / "model.safetensors"))
            unpack_optimizer(trained.optimizer, load_file(folder / "optimizer.safetensors"), steps=step)
            trained.average.load(load_file(folder / "ema.safetensors"))
            return step, bf16
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"{folder}: damaged; remove this folder to train the generator from the beginning") from error
    raise UsageError(
        f"{folder}: belongs to a training with {_difference(record, recipe, trained)}; give these again, or another "
        "--generator"
    )


def _difference(record: Mapping[str, object], recipe: GeneratorRecipe, trained: _Trained) -> str:
    """Return what differs between the training of a state and the one that is asked for."""
    asked = trained.generator.recipe
    differing = [name for name in GeneratorRecipe.model_fields if getattr(recipe, name) != getattr(asked, name)]
    settings = [f"{describe_setting(recipe, name)} instead of {describe_setting(asked, name)}" for name in differing]
    if record["images_sha256"] != trained.facts["images_sha256"]:
        settings.append("other images or labels")
    return join_words(settings)
