"""Patch features of a frozen encoder, computed once for every image and read from then on in place of its pixels."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from report_gen.errors import OutputError
from report_gen.imaging.transform import ImageTransform
from report_gen.model.encoder import ImageEncoder

from ..recipe.schema import AugmentationRecipe
from ..run.reporting import OnProgress
from .arrow_rows import cannot_write
from .image_augmentation import augment
from .image_cache import ImageCache
from .image_decoding import VERSION
from .shards import Place, Shards, shard_rows, sweep, write_shard

_BATCH = 32
_LARGEST = torch.finfo(torch.float16).max


class FeatureCache:
    """Features float16 by the path of their image, in one or more variants: the first of the plain image."""

    def __init__(self, shards: Shards, places: Mapping[str, Sequence[Place]], shape: tuple[int, int]) -> None:
        self._shards, self._places, self._shape = shards, places, shape

    def read(self, path: Path, random: np.random.Generator | None) -> torch.Tensor:
        """patch_features [N,D_img] of the plain image, or of a variant that `random` draws.

        Raises:
            OutputError: the cache was removed or damaged meanwhile.
        """
        variants = self._places[str(path)]
        place = variants[0 if random is None else int(random.integers(len(variants)))]
        return torch.from_numpy(self._shards.payload(place).view(np.float16).reshape(self._shape).copy())


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
    rank: int = 0,
    processes: int = 1,
    wait: Callable[[], object] = lambda: None,
) -> FeatureCache:
    """Ask the encoder for the features that the folder lacks, on its own device.

    Args:
        folder: may be shared by runs; what belongs to other weights, another transform or other changes stays apart.
        variants: path of an image -> how many are wanted of it; all but the first are augmented.
        seed: of the augmentation.
        bf16: whether the encoder calculates in bfloat16.
        rank: of this process among `processes`; each does its share.
        wait: returns when all processes have called it.

    Raises:
        OutputError: the folder cannot be written, or the disk is too small for what is missing.
    """
    digest = _digest(encoder, (VERSION, transform, augmentation, seed, bf16))
    place, shape = folder / f"features-{digest}", (encoder.grid**2, encoder.width)
    wanted = {path: [f"{images.sha256(Path(path))}-{n}" for n in range(count)] for path, count in variants.items()}
    todo = _missing(wanted, Shards(place).index())
    wait()  # nobody writes before everybody has seen what is missing
    _check_space(folder, len(todo), shape)
    sweep(place)
    waiting: dict[str, bytes] = {}
    for done, batch in _batches(todo[rank::processes]):
        squares = transform.normalize(_squares(batch, images, augmentation, seed))
        waiting |= zip((one.key for one in batch), _encode(encoder, squares, bf16), strict=True)
        if len(waiting) >= shard_rows(2 * shape[0] * shape[1]):
            write_shard(place, waiting)
            waiting = {}
        on_progress("patch features", min(done * processes, len(todo)), len(todo))
    if waiting:
        write_shard(place, waiting)
    wait()
    shards = Shards(place)
    places = shards.index()
    return FeatureCache(shards, {path: [places[key] for key in keys] for path, keys in wanted.items()}, shape)


class _Wanted(NamedTuple):
    key: str
    path: str
    variant: int


def _missing(wanted: Mapping[str, Sequence[str]], kept: Mapping[str, Place]) -> list[_Wanted]:
    """What is wanted and not kept, once for each content."""
    all_of_it = {key: _Wanted(key, path, n) for path, keys in wanted.items() for n, key in enumerate(keys)}
    return [one for key, one in all_of_it.items() if key not in kept]


def _digest(encoder: ImageEncoder, others: tuple[object, ...]) -> str:
    """Of the weights and of all else that features follow from."""
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
            f"{folder}: patch features of {count} images take {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "lower cached_features, or name another cache"
        )


def _batches(wanted: Sequence[_Wanted]) -> Iterator[tuple[int, Sequence[_Wanted]]]:
    """Batches, each with how many are done with it."""
    for start in range(0, len(wanted), _BATCH):
        batch = wanted[start : start + _BATCH]
        yield start + len(batch), batch


def _squares(batch: Sequence[_Wanted], images: ImageCache, augmentation: AugmentationRecipe, seed: int) -> torch.Tensor:
    """[n,size,size] 0..1, changed but for the first variants."""
    squares = torch.from_numpy(np.stack([images.read(Path(one.path)) for one in batch])).float() / 255
    changed = [place for place, one in enumerate(batch) if one.variant]
    if changed:
        randoms = [_random(batch[place], seed) for place in changed]
        squares[changed] = augment(squares[changed], randoms, augmentation)
    return squares


def _random(wanted: _Wanted, seed: int) -> np.random.Generator:
    """By content and variant: where the image lies, and in which corpus, makes no difference."""
    return np.random.default_rng((seed, wanted.variant, int(wanted.key[:16], 16)))


@torch.inference_mode()
def _encode(encoder: ImageEncoder, pixel_values: torch.Tensor, bf16: bool) -> Iterator[bytes]:
    """Features of each image; what float16 cannot hold becomes the largest that it can."""
    device, was_training = next(encoder.parameters()).device, encoder.training
    encoder.eval()
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        features = encoder(pixel_values.to(device))
    encoder.train(was_training)
    for image in features.float().clamp(-_LARGEST, _LARGEST).half().cpu():
        yield image.numpy().tobytes()
