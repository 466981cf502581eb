"""Steps of a decoder that are recorded once and replayed for every token, for GPUs.

A step of a small decoder runs some hundred kernels, each for a few microseconds. Python launches them more slowly than
a GPU runs them. A CUDA graph launches all of them at once, but it has fixed shapes and reads and writes fixed addresses
(https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). Keys and values therefore stay at fixed addresses,
and each step attends to the whole cache, with a mask that hides the unused part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch.nn import functional

from report_gen.generation.cached_decoder import AttentionCache, CachedDecoder, Prefix
from report_gen.generation.key_value_cache import CacheShape, KeyValueCache

Step = Callable[[], torch.Tensor]
"""Computes logits [N,vocabulary] from tensors at fixed addresses."""

_LENGTH_STEP = 64
"""The length of a cache is rounded up to a multiple of this number of tokens: another length needs new graphs."""
_WARM_UP = 3
"""Number of executions before the recording, in which kernels are loaded and libraries allocate memory."""
_RECORDING = threading.Lock()
"""PyTorch allows one recording at a time in a process."""


def record_cuda_graph(step: Step) -> Step:
    """Record a step as a CUDA graph and return the function that replays it. Each call overwrites the same logits."""
    device = step().device
    with _RECORDING, torch.cuda.device(device):  # a graph records the current device, which may be another one
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            logits = step()

    def replay() -> torch.Tensor:
        graph.replay()
        return logits

    return replay


class RecordedDecoder(CachedDecoder):
    """A decoder that records its generation steps and replays them.

    Steps are recorded for 1, 2, 4, 8, ... texts. The first forward pass over the prompt is not recorded, and a decoder
    with cross-attention records no step. There is no speculative decoding, because a recorded step reads one token per
    text.

    Each thread has its own cache and recordings. While a CUDA graph is recorded, no other thread of the process may use
    CUDA (see "Constraints" in the notes of PyTorch on CUDA graphs).

    Args:
        decoder: The decoder.
        record: Records a step, which must not depend on the contents of its tensors.
    """

    supports_speculation = False

    def __init__(self, decoder: CachedDecoder, record: Callable[[Step], Step] = record_cuda_graph) -> None:
        super().__init__(decoder.shape, embeddings=decoder._embeddings, output=decoder._output)
        self._decoder = decoder
        self._record = record
        self._of_thread = threading.local()

    def begin(self, inputs: Mapping[str, torch.Tensor]) -> Prefix:
        prefix = super().begin(inputs)
        return prefix if prefix.cache.has_cross_attention else _RecordedPrefix(prefix.cache, prefix.logits, self)

    def step(self, token_ids: torch.Tensor, cache: KeyValueCache) -> torch.Tensor:
        if not isinstance(cache, StaticCache):
            return super().step(token_ids, cache)
        texts = len(token_ids)
        cache.set_inputs(token_ids)
        rows = _power_of_two(texts)
        if rows not in cache.steps:
            cache.steps[rows] = self._record(partial(self._compute, cache, rows))
        return cache.steps[rows]()[:texts]

    def static_cache(self, like: KeyValueCache, *, texts: int, length: int) -> StaticCache:
        """Return the cache of this thread. One without room for N texts of T tokens is replaced by a larger one.

        Args:
            like: A cache of the same device and type.
            texts: N.
            length: T.
        """
        cache: StaticCache | None = getattr(self._of_thread, "cache", None)
        if cache is None or not cache.has_room(like, texts, length):
            rows, columns = (texts, length) if cache is None else (max(texts, cache.rows), max(length, cache.columns))
            # The memory of the earlier cache and of its graphs is free before more is allocated.
            self._of_thread.cache = cache = None
            rows, columns = _power_of_two(rows), -(-columns // _LENGTH_STEP) * _LENGTH_STEP
            cache = StaticCache(self.shape, texts=rows, length=columns, dtype=like.dtype, device=like.device)
            self._of_thread.cache = cache
        return cache

    def _compute(self, cache: StaticCache, rows: int) -> torch.Tensor:
        attention = _StepAttention(cache, rows)
        return self.next_logits(self._embeddings(cache.token_ids[:rows, None]), attention.positions, attention)

    def _hidden(self, embedded: torch.Tensor, positions: torch.Tensor, cache: AttentionCache) -> torch.Tensor:
        return self._decoder._hidden(embedded, positions, cache)

    def _cross_attention(self, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        return self._decoder._cross_attention(inputs)


class _RecordedPrefix(Prefix):
    """A prefix whose texts continue in the static cache of the thread: those of an earlier call are overwritten."""

    def __init__(self, cache: KeyValueCache, logits: torch.Tensor, decoder: RecordedDecoder) -> None:
        super().__init__(cache, logits)
        self._decoder = decoder

    def start(self, rows: Sequence[int], *, max_tokens: int) -> tuple[KeyValueCache, torch.Tensor]:
        cache = self._decoder.static_cache(self.cache, texts=len(rows), length=self.cache.filled + max_tokens)
        cache.restart(self.cache, rows)
        return cache, self.logits[list(rows)]


class StaticCache(KeyValueCache):
    """A cache at fixed addresses, with the other inputs of a recorded step. New texts overwrite the earlier ones.

    Args:
        shape: Layers and heads of the decoder.
        texts: Largest number of texts.
        length: Largest number of tokens T of a text.
        dtype: Type of the keys and values.
        device: Device of all tensors.
    """

    def __init__(self, shape: CacheShape, *, texts: int, length: int, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(shape, torch.ones((texts, 1), device=device), length=length, dtype=dtype)
        self.rows, self.columns = texts, length
        self.stored, self.visible = self._stored, self._visible
        self.token_ids = torch.zeros(texts, dtype=torch.long, device=device)
        self.slot = torch.zeros(1, dtype=torch.long, device=device)
        """Column of the keys and values of the tokens that a step reads."""
        self.steps: dict[int, Step] = {}
        """Recorded steps by their number of texts."""

    def has_room(self, like: KeyValueCache, texts: int, length: int) -> bool:
        """Return whether N texts of T tokens fit, of the type and on the device of another cache."""
        fits = texts <= self.rows and length <= self.columns
        return fits and (like.dtype, like.device) == (self.dtype, self.device)

    def restart(self, prefix: KeyValueCache, rows: Sequence[int]) -> None:
        """Replace all texts by ones that begin with `rows` of another cache."""
        self._stored, self._visible = self.stored[: len(rows)], self.visible[: len(rows)]
        self._divide_layers()
        self.stored.zero_()  # what the mask hides is multiplied with zero, so it must be finite
        self.visible.fill_(True)
        index = torch.tensor(rows, device=self.device)
        self._set_mask(prefix._visible[index, : prefix.filled])
        self._copy_from(prefix, index)

    def set_inputs(self, token_ids: torch.Tensor) -> None:
        """Make room for a token of every text and set the inputs of a step to the tokens [N]."""
        self.token_ids[: len(token_ids)] = token_ids
        self.slot.fill_(self._filled)
        self._filled += 1


class _StepAttention:
    """The attention of one token of each of the first N texts of a static cache. All shapes are fixed."""

    has_cross_attention = False

    def __init__(self, cache: StaticCache, rows: int) -> None:
        self._layers = cache.stored[:rows].unbind(1)
        self._slot = cache.slot
        self._scale = cache.shape.scale
        columns = torch.arange(cache.columns, device=cache.device)
        allowed = cache.visible[:rows] & (columns <= cache.slot)  # [N,T]
        self._allowed = allowed[:, None, None]
        self.positions = allowed.sum(1, keepdim=True) - 1
        """Positions of the tokens [N,1]."""

    def attend(self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Store the keys and values of the tokens and return their attention, shapes as in `KeyValueCache.attend`."""
        all_keys, all_values = self._layers[2 * layer], self._layers[2 * layer + 1]
        all_keys.index_copy_(2, self._slot, keys.transpose(1, 2))
        all_values.index_copy_(2, self._slot, values.transpose(1, 2))
        return functional.scaled_dot_product_attention(
            queries.transpose(1, 2),
            all_keys,
            all_values,
            attn_mask=self._allowed,
            scale=self._scale,
            enable_gqa=queries.shape[2] != keys.shape[2],
        ).transpose(1, 2)

    def attend_across(self, layer: int, queries: torch.Tensor) -> torch.Tensor:
        """Raise an error: there is no cross-attention."""
        raise NotImplementedError("steps of a decoder with cross-attention are not recorded")


def _power_of_two(number: int) -> int:
    """Return the smallest power of two that is not below a number."""
    return 1 << (number - 1).bit_length()
