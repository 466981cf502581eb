"""Hashes of texts: a fingerprint that is equal for equal words, and a signature that is similar for similar texts.

Signatures are MinHashes (Broder, SEQUENCES 1997) over shingles of three words. The fraction of equal positions of two
signatures estimates the Jaccard similarity of the two sets of shingles.
"""

from __future__ import annotations

import re
from functools import cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHINGLE_WORDS = 3
"""Consecutive words of a shingle."""
SIGNATURE_LENGTH, BANDS = 64, 16
"""Positions of a signature, and bands into which they are divided."""
SIMILARITY_THRESHOLD = 0.8
"""Least Jaccard similarity of the shingles of similar texts."""

_WORD = re.compile(r"[^\W_]+")
_LOW_BITS = np.uint64(0xFFFFFFFF)


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def fingerprint(text: str | bytes) -> int:
    """Return a hash of 64 bits; 0 only for an empty text."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") or 1 if data else 0


def compute_signature(words: list[str]) -> NDArray[np.uint32]:
    """Return the signature [SIGNATURE_LENGTH] of the words of a text."""
    starts = range(max(len(words) - SHINGLE_WORDS + 1, 1))
    signature = _empty_signature().copy()
    signature.update_batch(" ".join(words[start : start + SHINGLE_WORDS]).encode() for start in starts)
    return np.asarray(signature.hashvalues.astype(np.uint64) & _LOW_BITS, dtype=np.uint32)


@cache
def _empty_signature() -> Any:
    """Return the MinHash of no words. Its package imports SciPy, so it is imported at first use."""
    from datasketch import MinHash  # type: ignore[import-untyped]

    return MinHash(num_perm=SIGNATURE_LENGTH, seed=1)


def band_keys(signatures: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return keys [N,BANDS] of signatures [N,SIGNATURE_LENGTH], equal if all positions of the band are equal."""
    positions = signatures.reshape(len(signatures), BANDS, SIGNATURE_LENGTH // BANDS)
    keys = np.zeros(positions.shape[:2], dtype=np.uint64)
    for index in range(positions.shape[2]):
        # The golden ratio of 64 bits mixes the positions; the product may overflow because it is a hash.
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + positions[:, :, index]
    return keys


def estimate_similarity(first: NDArray[np.uint32], second: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimate the Jaccard similarity [N] in 0..1 of pairs of signatures [N,SIGNATURE_LENGTH]."""
    return np.asarray((first == second).mean(axis=1))
