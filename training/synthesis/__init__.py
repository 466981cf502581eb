"""Synthetic images for scarce findings: a class-conditional diffusion model, and the corpus that it draws."""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from .corpus import write_corpus
    from .drawing import SyntheticImages, draw_images
    from .generator import ImageGenerator, load_generator
    from .recipe import GeneratorRecipe, generator_recipe
    from .training import train_generator
    from .training_images import TrainingImages, read_training_images
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "corpus": ("write_corpus",),
            "drawing": ("SyntheticImages", "draw_images"),
            "generator": ("ImageGenerator", "load_generator"),
            "recipe": ("GeneratorRecipe", "generator_recipe"),
            "training": ("train_generator",),
            "training_images": ("TrainingImages", "read_training_images"),
        },
    )

__all__ = [
    "GeneratorRecipe",
    "ImageGenerator",
    "SyntheticImages",
    "TrainingImages",
    "draw_images",
    "generator_recipe",
    "load_generator",
    "read_training_images",
    "train_generator",
    "write_corpus",
]
