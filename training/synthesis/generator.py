"""A class-conditional diffusion model of small gray images, and its files.

A U-Net learns to remove noise from images given the labels of their findings (denoising diffusion, Ho et al. 2020,
arXiv:2006.11239; prediction of v, Salimans and Ho 2022, arXiv:2202.00512). U-Net, noise schedule and solver are those
of diffusers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.nn import functional as F

from report_gen.errors import CheckpointError, UsageError
from report_gen.files import write_atomically

from ..run import read_json, snapshot
from .recipe import FOLD, GROUPS, GeneratorRecipe

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_VERSION = 1
_NOISE_LEVELS = 1000
_HEAD_WIDTH = 32
"""Channels of one attention head."""


class ImageGenerator(nn.Module):
    """A U-Net that is conditioned on the labels of F findings.

    Args:
        recipe: Side of the images, and channels.
        findings: Names of the F findings.

    Raises:
        UsageError: diffusers is not installed.
    """

    def __init__(self, recipe: GeneratorRecipe, findings: Sequence[str]) -> None:
        super().__init__()
        diffusers = _diffusers()
        self.recipe, self.findings = recipe, tuple(findings)
        channels, deep = recipe.channels, len(recipe.channels) - 1
        # Attention at the coarsest resolution only: it is cheap there, and relates the two lungs.
        self.unet = diffusers.UNet2DModel(
            sample_size=recipe.size // FOLD,
            in_channels=FOLD**2,
            out_channels=FOLD**2,
            block_out_channels=channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * deep + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * deep,
            attention_head_dim=min(_HEAD_WIDTH, *channels),
            norm_num_groups=GROUPS,
            class_embed_type="identity",
        )
        # Two inputs for each finding, present and absent; both are 0 for an unknown one.
        self.condition = nn.Linear(2 * len(self.findings), 4 * channels[0])
        self.noise: DDPMScheduler = diffusers.DDPMScheduler(
            num_train_timesteps=_NOISE_LEVELS, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction"
        )

    def forward(self, images: torch.Tensor, timesteps: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Predict the velocity v of noisy images.

        Args:
            images: [B,4,size/2,size/2], blocks of 2 x 2 pixels as channels.
            timesteps: [B] noise levels, 0..999.
            conditions: [B,F], 1 present, -1 absent, 0 unknown.

        Returns:
            [B,4,size/2,size/2].
        """
        stated = torch.cat([conditions.clamp_min(0), (-conditions).clamp_min(0)], dim=1)  # [B,2F]
        predicted: torch.Tensor = self.unet(images, timesteps, class_labels=self.condition(stated)).sample
        return predicted

    def loss(
        self, images: torch.Tensor, conditions: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return the mean squared error of v at random noise levels, a scalar.

        Args:
            images: [B,size,size] in -1..1.
            conditions: [B,F], 1 present, -1 absent, 0 unknown.
            generator: Source of the noise, the noise levels and the hidden labels, on the CPU.
        """
        clean = F.pixel_unshuffle(images[:, None], FOLD)  # [B,4,size/2,size/2]
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        levels = torch.randint(_NOISE_LEVELS, (len(clean),), generator=generator).to(clean.device)
        shown = torch.rand(len(clean), 1, generator=generator) >= self.recipe.label_dropout
        noisy = self.noise.add_noise(clean, noise, levels)
        target = self.noise.get_velocity(clean, noise, levels)
        return F.mse_loss(self(noisy, levels, conditions * shown.to(conditions)).float(), target)

    @torch.inference_mode()
    def draw(
        self, conditions: torch.Tensor, seeds: Sequence[int], *, steps: int = 50, guidance: float = 1.5
    ) -> torch.Tensor:
        """Draw one image for each condition with DDIM without noise (Song et al. 2021, arXiv:2010.02502).

        An image depends on its condition and seed, not on the other images.

        Args:
            conditions: [B,F], 1 present, -1 absent, 0 unknown.
            seeds: B seeds.
            steps: Noise levels at which the noise is predicted.
            guidance: Weight of the conditional prediction; 1 uses no guidance, 0 ignores the condition.

        Returns:
            [B,size,size] in 0..1.
        """
        device, side = conditions.device, self.recipe.size // FOLD
        # "trailing" begins with pure noise, as the images do (Lin et al. 2024, arXiv:2305.08891).
        solver = _diffusers().DDIMScheduler.from_config(self.noise.config, timestep_spacing="trailing")
        solver.set_timesteps(steps)
        noises = [torch.randn(FOLD**2, side, side, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        images = torch.stack(noises).to(device)
        for timestep in solver.timesteps:
            levels = torch.full((len(images),), int(timestep), device=device)
            velocity = self(images, levels, conditions)
            if guidance != 1:
                unconditional = self(images, levels, torch.zeros_like(conditions))
                velocity = unconditional + guidance * (velocity - unconditional)
            images = solver.step(velocity, timestep, images).prev_sample
        return (F.pixel_shuffle(images, FOLD)[:, 0].clamp(-1, 1) + 1) / 2


def save_generator(folder: Path, generator: ImageGenerator, facts: Mapping[str, Any]) -> None:
    """Write a generator to a folder, and leave other files of the folder alone.

    Args:
        folder: The folder.
        generator: The generator.
        facts: What `config.json` also states about it, such as the digest of the training images.

    Raises:
        OutputError: The folder cannot be written.
    """
    recipe = generator.recipe.model_dump(mode="json")
    config = {"version": _VERSION, "recipe": recipe, "findings": list(generator.findings), **facts}
    write_atomically(folder / _WEIGHTS, save(snapshot(generator)))
    write_atomically(folder / _CONFIG, json.dumps(config, indent=2) + "\n")  # at last: it says that the folder is whole


def is_generator(folder: Path) -> bool:
    """Return whether a folder contains a trained generator."""
    return (folder / _CONFIG).exists()


def load_generator(folder: Path) -> tuple[ImageGenerator, str]:
    """Load a generator, and the digest of the images that it was trained on.

    Raises:
        CheckpointError: A file is missing, damaged or of another version.
        UsageError: diffusers is not installed.
    """
    try:
        config = read_json(folder / _CONFIG)
        if config.get("version") != _VERSION:
            raise CheckpointError(f"{folder / _CONFIG}: version {config.get('version')!r}; train the generator again")
        recipe = GeneratorRecipe.model_validate(config["recipe"])
        findings, digest = [str(name) for name in config["findings"]], str(config["images_sha256"])
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: has no {_CONFIG}, so it is not a generator; check the path") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{folder / _CONFIG}: damaged; train the generator again in another folder") from error
    generator = ImageGenerator(recipe, findings)
    try:
        generator.load_state_dict(load_file(folder / _WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        path = folder / _WEIGHTS
        raise CheckpointError(f"{path}: missing or damaged; train the generator again in another folder") from error
    return generator.eval(), digest


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise UsageError("synthetic images need diffusers; install report-gen[synthesis]") from error
    return diffusers
