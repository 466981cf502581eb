"""Texts as numbers: eight bytes that are equal for the same words, and a signature that is alike for nearly the same.

Signatures are MinHashes (Broder, SEQUENCES 1997) over runs of three words; the share of equal places of two signatures
estimates the share of runs that two texts have in common.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import numpy as np
from datasketch import MinHash  # type: ignore[import-untyped]
from numpy.typing import NDArray

RUN = 3
"""Words that follow each other."""
PLACES, BANDS = 64, 16
"""Places of a signature, and bands that they are cut into."""
COMMON = 0.8
"""Nearly the same: so many of the runs of two texts together are in both."""

_WORD = re.compile(r"[^\W_]+")
_LOW = np.uint64(0xFFFFFFFF)
_PLAIN = MinHash(num_perm=PLACES, seed=1)


def words_of(text: str) -> list[str]:
    """Words and numbers in small letters: case, stops and spaces do not make it another text."""
    return _WORD.findall(text.lower())


def fingerprint(text: str | bytes) -> int:
    """Eight bytes that tell texts apart; 0 stands for an empty one alone."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") or 1 if data else 0


def sign(words: list[str]) -> NDArray[np.uint32]:
    """Signature [PLACES] of a text's words."""
    runs = (" ".join(words[start : start + RUN]).encode() for start in range(max(len(words) - RUN + 1, 1)))
    signature = _PLAIN.copy()
    signature.update_batch(runs)
    return np.asarray(signature.hashvalues.astype(np.uint64) & _LOW, dtype=np.uint32)


def band_keys(signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Keys [N,BANDS] of signatures [N,PLACES]: equal where all places of a band are."""
    places = signatures.reshape(len(signatures), BANDS, PLACES // BANDS)
    keys = np.zeros(places.shape[:2], dtype=np.uint64)
    for place in range(places.shape[2]):
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + places[:, :, place]  # an odd factor: the product may overflow
    return keys


def share_in_common(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimated share [N] of runs in common, 0..1, of signatures [N,PLACES] pair by pair."""
    return np.asarray((first == second).mean(axis=1))
