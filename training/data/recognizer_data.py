"""Collect the images that the image recognizer is fitted to, by the sources of a recipe."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from report_gen.config import ImageClass
from report_gen.errors import RecipeError
from report_gen.files import IMAGE_SUFFIXES
from report_gen.phantom import WHITE, draw_chest

from ..recipe import Recipe, RecognizerRecipe, RecognizerSource
from ..run import OnProgress, Run
from .drawn_images import draw_foreign_image
from .preparation import PreparedCorpora, decode_images, image_transform

_SPLITS = ("train", "val")
_PACKAGE = "python:"
"""Beginning of a source that is a folder of an installed Python package."""
_PHANTOMS = {"train": range(20), "val": range(20, 30)}
"""Seeds of the drawn chests by split. `report-gen demo` draws seed 0."""


class LabeledImage(NamedTuple):
    """An image and its class."""

    square: NDArray[np.uint8]
    """[size,size], intensities 0..255."""
    image_class: ImageClass


def recognizer_images(
    chosen: RecognizerRecipe, recipe: Recipe, run: Run, prepared: PreparedCorpora, *, on_progress: OnProgress
) -> dict[str, list[LabeledImage]]:
    """Return the training and validation images of the recognizer, by split.

    Images of corpora keep their split. Of the images of a source, 60% of the groups are in train, 20% in val; the other
    20% are not used, so that they can test the recognizer. Images that cannot be read are left out.

    Args:
        chosen: Corpora and sources of the recognizer.
        recipe: The recipe that it is part of.
        run: Run folder, which keeps the decoded images.
        prepared: The corpora of the recipe.
        on_progress: Called while images are decoded.

    Raises:
        RecipeError: A source does not exist, or has no images.
    """
    by_split: dict[str, list[LabeledImage]] = {split: list(_drawn(recipe, chosen, split)) for split in _SPLITS}
    for corpus in chosen.corpora:
        for split in _SPLITS:
            paths = prepared.encoded.examples[corpus][split].image_paths()
            by_split[split] += (LabeledImage(prepared.images.read(Path(path)), "upright") for path in paths)
    located = [(path, split, source) for source in chosen.sources for path, split in _locate(recipe, source)]
    cache, unreadable = decode_images(recipe, run, [path for path, _, _ in located], on_progress)
    skipped = {image.path for image in unreadable}
    for path, split, source in located:
        if path not in skipped:
            by_split[split].append(LabeledImage(cache.read(Path(path)), source.shows))
    return by_split


def split_of_group(group: str) -> str:
    """Return the split of a group of images: train (60%), val (20%) or test (20%), by a hash of its name."""
    fraction = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) / 2**64
    return "train" if fraction < 0.6 else "val" if fraction < 0.8 else "test"


def _drawn(recipe: Recipe, chosen: RecognizerRecipe, split: str) -> Iterator[LabeledImage]:
    size = recipe.model.encoder.image_size
    for seed in range(chosen.drawn):
        if split_of_group(f"drawn {seed}") == split:
            yield LabeledImage(draw_foreign_image(size, seed), "foreign")
    if chosen.phantoms:
        transform = image_transform(recipe)
        for seed in _PHANTOMS[split]:
            square, _ = transform.fit((draw_chest(512, 512, seed=seed) / WHITE).astype(np.float32))
            yield LabeledImage((square * 255).round().byte().numpy(), "upright")


def _locate(recipe: Recipe, source: RecognizerSource) -> list[tuple[str, str]]:
    """Return the paths of the images of a source that are used, with their splits."""
    root = _resolve(recipe, source)
    rows = _table(root, source) if root.is_file() else [(str(path), path.stem) for path in _images(root)]
    if not rows:
        raise RecipeError(f"recognizer.sources: {root} has no images; correct the source, or remove it")
    splits = [(path, split_of_group(group)) for path, group in rows]
    return [(path, split) for path, split in splits if split in _SPLITS]


def _resolve(recipe: Recipe, source: RecognizerSource) -> Path:
    if source.images.startswith(_PACKAGE):
        package, _, folder = source.images.removeprefix(_PACKAGE).partition("/")
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise RecipeError(f"recognizer.sources: the package {package} is not installed; install it")
        return Path(spec.submodule_search_locations[0]) / folder
    root = recipe.resolve(source.images)
    if not root.exists():
        raise RecipeError(f"recognizer.sources: {root} does not exist; correct the path, or remove the source")
    return root


def _images(folder: Path) -> Sequence[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)


def _table(table: Path, source: RecognizerSource) -> list[tuple[str, str]]:
    """Return the path and the group of the images of a CSV table with a column `image`."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecipeError(f"recognizer.sources: {table} is not a CSV table in UTF-8; correct the source") from error
    needed = {"image", *source.where, *([source.group] if source.group else [])}
    if missing := sorted(needed - set(rows[0] if rows else ())):
        raise RecipeError(f"recognizer.sources: {table} has no column {missing[0]!r}; correct the source")
    return [
        (str(table.parent / row["image"]), row[source.group] if source.group else row["image"])
        for row in rows
        if all(row[column] in values for column, values in source.where.items())
    ]
