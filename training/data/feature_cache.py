"""Compute the patch features of a frozen encoder once per image, and read them in place of the pixels."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from report_gen.errors import OutputError
from report_gen.imaging.transform import ImageTransform
from report_gen.model import ImageEncoder

from ..recipe import AugmentationRecipe
from ..run import OnProgress
from .arrow_rows import cannot_write
from .image_augmentation import ImageChange, augment, draw_change
from .image_cache import ImageCache
from .image_decoding import VERSION
from .image_normalization import IntensityMatching
from .shards import SCHEMA, Place, Shards, remove_remains, shard_rows, write_shard

_BATCH = 32
"""Images per encoder call."""
_LARGEST = torch.finfo(torch.float16).max


class CachedFeatures(NamedTuple):
    """Features of one variant of an image."""

    patch_features: torch.Tensor
    """[N,D_img] float16."""
    change: ImageChange | None
    """How the image was augmented; None for the first variant."""


class FeatureCache:
    """Features in float16 by image path, in one or more variants; the first variant is not augmented."""

    def __init__(
        self,
        shards: Shards,
        places: Mapping[str, Sequence[Place]],
        shape: tuple[int, int],
        augmentation: AugmentationRecipe,
        seed: int,
    ) -> None:
        self._shards, self._places, self._shape = shards, places, shape
        self._augmentation, self._seed = augmentation, seed

    def read(self, path: Path, random: np.random.Generator | None) -> CachedFeatures:
        """Return the features of the image without augmentation, or of a variant chosen by `random`.

        Raises:
            OutputError: The cache was removed or damaged during the run.
        """
        variants = self._places[str(path)]
        number = 0 if random is None else int(random.integers(len(variants)))
        features = self._shards.payload(variants[number]).view(np.float16).reshape(self._shape).copy()
        key = self._shards.key(variants[number]) if number else ""
        change = draw_change(_random(key, number, self._seed), self._augmentation) if number else None
        return CachedFeatures(torch.from_numpy(features), change)


def cache_features(
    folder: Path,
    encoder: ImageEncoder,
    variants: Mapping[str, int],
    images: ImageCache,
    transform: ImageTransform,
    augmentation: AugmentationRecipe,
    *,
    seed: int,
    bf16: bool,
    on_progress: OnProgress,
    own: Mapping[str, tuple[float, ...]] = MappingProxyType({}),
    rank: int = 0,
    processes: int = 1,
    wait: Callable[[], object] = lambda: None,
) -> FeatureCache:
    """Compute the features that the folder lacks, on the encoder's device.

    Args:
        folder: May be shared by runs; features of other weights, transforms or augmentations are kept apart.
        variants: Image path -> number of variants; all but the first are augmented.
        own: Mean and standard deviation of the images that have their own, by path.
        seed: Seed of the augmentation.
        bf16: Whether the encoder computes in bfloat16.
        rank: Index of this process among `processes`; each computes its part.
        wait: Blocks until all processes have called it.

    Raises:
        OutputError: The folder cannot be written, or the disk is too small for the missing features.
    """
    digest = _digest(encoder, (VERSION, transform, augmentation, seed, bf16))
    place, shape = folder / f"features-{digest}", (encoder.patches, encoder.width)
    matching = IntensityMatching(transform, own)
    keys = {path: images.sha256(Path(path)) + matching.describe(Path(path)) for path in variants}
    wanted = {path: [f"{keys[path]}-{number}" for number in range(count)] for path, count in variants.items()}
    missing = _missing(wanted, Shards(place).index())
    wait()  # no process may write before all have listed what is missing
    _check_space(folder, len(missing), shape)
    remove_remains(place, SCHEMA)
    pending: dict[str, bytes] = {}
    for done, batch in _batches(missing[rank::processes]):
        squares = _squares(batch, images, augmentation, seed)
        pixel_values = transform.normalize(matching.match(squares, [Path(one.path) for one in batch]))
        pending |= zip((one.key for one in batch), _encode(encoder, pixel_values, bf16), strict=True)
        if len(pending) >= shard_rows(2 * shape[0] * shape[1]):
            write_shard(place, pending)
            pending = {}
        on_progress("patch features", min(done * processes, len(missing)), len(missing))
    if pending:
        write_shard(place, pending)
    wait()
    shards = Shards(place)
    places = shards.index()
    found = {path: [places[key] for key in keys] for path, keys in wanted.items()}
    return FeatureCache(shards, found, shape, augmentation, seed)


class _Wanted(NamedTuple):
    key: str
    path: str
    variant: int


def _missing(wanted: Mapping[str, Sequence[str]], kept: Mapping[str, Place]) -> list[_Wanted]:
    """Return the wanted features that are not stored, once per image content."""
    by_key = {key: _Wanted(key, path, n) for path, keys in wanted.items() for n, key in enumerate(keys)}
    return [one for key, one in by_key.items() if key not in kept]


def _digest(encoder: ImageEncoder, others: tuple[object, ...]) -> str:
    """Hash the weights and everything else that the features depend on."""
    digest = hashlib.sha256(repr(others).encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _check_space(folder: Path, count: int, shape: tuple[int, int]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        needed, free = 2 * count * shape[0] * shape[1], shutil.disk_usage(folder).free
    except OSError as error:
        raise cannot_write(folder, error) from error
    if needed > free:
        raise OutputError(
            f"{folder}: patch features of {count} images take {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are "
            "free; lower cached_features, or set cache to a folder on another disk"
        )


def _batches(wanted: Sequence[_Wanted]) -> Iterator[tuple[int, Sequence[_Wanted]]]:
    """Yield batches, each with the number of images done after it."""
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        yield start + len(batch), batch


def _squares(batch: Sequence[_Wanted], images: ImageCache, augmentation: AugmentationRecipe, seed: int) -> torch.Tensor:
    """Return [n,size,size] in 0..1; all but first variants are augmented."""
    squares = torch.from_numpy(np.stack([images.read(Path(one.path)) for one in batch])).float() / 255
    augmented = [row for row, one in enumerate(batch) if one.variant]
    if augmented:
        changes = [draw_change(_random(batch[row].key, batch[row].variant, seed), augmentation) for row in augmented]
        squares[augmented] = augment(squares[augmented], changes, augmentation)
    return squares


def _random(key: str, variant: int, seed: int) -> np.random.Generator:
    """Seed a generator by content and variant, so that the path and corpus of an image make no difference."""
    return np.random.default_rng((seed, variant, int(key[:16], 16)))


@torch.inference_mode()
def _encode(encoder: ImageEncoder, pixel_values: torch.Tensor, bf16: bool) -> Iterator[bytes]:
    """Yield the float16 features of each image as bytes; values beyond float16 are clamped."""
    device, was_training = next(encoder.parameters()).device, encoder.training
    encoder.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        features = encoder(pixel_values.to(device))
    encoder.train(was_training)
    for image in features.float().clamp(-_LARGEST, _LARGEST).half().cpu():
        yield image.numpy().tobytes()
