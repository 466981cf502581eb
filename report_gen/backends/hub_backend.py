"""Generate texts and their token probabilities with a model of transformers, whatever its backend is."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from report_gen.backends.answered_chat import AnsweredChat
from report_gen.backends.hub_loading import HubModel
from report_gen.backends.interface import ChatRequest, CheckTime, GenerationError, Reply
from report_gen.backends.token_output import decode, new_tokens
from report_gen.errors import CheckpointError, is_out_of_memory, without_traceback
from report_gen.generation import CallBeforeToken, Decoding, Sampler, SampleTokens, study_generator
from report_gen.model import LIBRARY_ERRORS

_POLL = 0.5
"""Time between two calls of `check_time` while another thread generates, seconds."""


class HubBackend(ABC):
    """Answers chats with `generate` of transformers, one chat after the other.

    Chats are not batched, so the rounding of a chat does not depend on others. The sampled candidates of a chat are
    generated together. A model generates for one thread at a time, because some models keep a state between tokens
    (Qwen2-VL its position offsets).
    """

    def __init__(self, loaded: HubModel, tokenizer: Any) -> None:
        self.info = loaded.info
        self._model, self._tokenizer, self._lock = loaded.model, tokenizer, Lock()
        self._model.generation_config = _without_sampling(loaded.model.generation_config, tokenizer)
        self._ends = _as_ids(self._model.generation_config.eos_token_id)

    def generate(
        self, chats: Sequence[ChatRequest], decoding: Decoding, check_time: CheckTime
    ) -> Iterator[tuple[Reply, ...] | GenerationError]:
        """Yield the replies to each chat in order, or why it has none. See `Backend.generate`."""
        for chat in chats:
            while not self._lock.acquire(timeout=_POLL):
                check_time()
            try:
                check_time()
                answer: tuple[Reply, ...] | GenerationError = self._answer(chat, decoding, check_time)
            except GenerationError as error:
                answer = without_traceback(error)
            finally:
                self._lock.release()
            yield answer

    @property
    def model(self) -> Any:
        """The model of transformers."""
        return self._model

    @abstractmethod
    def encode_answered(self, chat: ChatRequest, answer: str, max_tokens: int) -> AnsweredChat:
        """Return the inputs and targets with which the model learns an answer to a chat.

        The chat is encoded as for generation.

        Args:
            chat: The chat.
            answer: What the model should answer.
            max_tokens: Largest number of tokens of the answer. A longer one is cut and has no end token.

        Raises:
            GenerationError: The model does not take the chat, or chat and answer are longer than its context.
        """

    def _answer_ids(self, answer: str, end: int, max_tokens: int) -> torch.Tensor:
        """Return the token ids [T] of an answer, T <= max_tokens, with the end token if there is a place for it."""
        ids = self._tokenizer(answer, add_special_tokens=False)["input_ids"]
        return torch.tensor([*ids, end][:max_tokens], device=self._model.device)

    @abstractmethod
    def _encode(self, chat: ChatRequest) -> Mapping[str, Any]:
        """Return the inputs of the model for a chat, as tensors with a batch of one."""

    @torch.inference_mode()
    def _answer(self, chat: ChatRequest, decoding: Decoding, check_time: CheckTime) -> tuple[Reply, ...]:
        try:
            inputs = self._encode(chat)
            self._check_length(inputs, decoding.max_tokens)
            replies = [] if decoding.method == "sample" else self._search(inputs, decoding, check_time)
            numbers = range(len(replies), decoding.candidates)
            if numbers:
                replies += self._sample(inputs, decoding, chat.seed, numbers, check_time)
        except (*LIBRARY_ERRORS, MemoryError) as error:
            if is_out_of_memory(error):
                raise GenerationError(
                    "not enough memory for the chat; use fewer or smaller images, fewer candidates or beams, or a "
                    "smaller max_tokens"
                ) from error
            reason = " ".join(str(error).split())[:200]
            raise GenerationError(f"the model cannot answer the chat ({reason}); give it other images") from error
        return tuple(replies)

    def _check_length(self, inputs: Mapping[str, Any], max_tokens: int) -> None:
        config = self._model.config
        limit = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
        length = 1 if config.is_encoder_decoder else inputs["input_ids"].shape[1]
        if limit is not None and length + max_tokens > limit:
            raise GenerationError(
                f"context too long: {length} tokens of the prompt and max_tokens = {max_tokens} are more than the "
                f"{limit} of the model; use fewer images, a shorter prompt or a smaller max_tokens"
            )

    def _search(self, inputs: Mapping[str, Any], decoding: Decoding, check_time: CheckTime) -> list[Reply]:
        """Return the reply of greedy or beam search."""
        beams = decoding.beams if decoding.method == "beam" else 1
        try:
            return self._generate(inputs, [], check_time, max_new_tokens=decoding.max_tokens, num_beams=beams)
        except _MixedRowsError as error:
            raise GenerationError(
                "transformers mixes up the images of the beams of this model; decode with greedy or sample, or give "
                "one image"
            ) from error

    def _sample(
        self, inputs: Mapping[str, Any], decoding: Decoding, seed: int, numbers: Sequence[int], check_time: CheckTime
    ) -> list[Reply]:
        """Return sampled replies. Their random numbers follow from the seed of the chat and the number of the reply."""
        sampler = Sampler(decoding, [study_generator(seed, number) for number in numbers])
        # `SampleTokens` leaves one token to sample from. Without `do_sample` there would be one text only.
        options = {"do_sample": True, "top_k": 0, "num_return_sequences": len(numbers)}
        try:
            return self._generate(
                inputs, [SampleTokens(sampler)], check_time, max_new_tokens=decoding.max_tokens, **options
            )
        except _MixedRowsError:
            one_by_one = (self._sample(inputs, decoding, seed, [number], check_time) for number in numbers)
            return [reply for replies in one_by_one for reply in replies]

    def _generate(
        self, inputs: Mapping[str, Any], processors: list[LogitsProcessor], check_time: CheckTime, **options: Any
    ) -> list[Reply]:
        output = self._model.generate(
            **inputs,
            **options,
            logits_processor=LogitsProcessorList([_CheckScores(self.info.model), *processors]),
            stopping_criteria=StoppingCriteriaList([CallBeforeToken(check_time)]),
            return_dict_in_generate=True,
            output_logits=True,  # float32 [texts or beams, vocabulary] per token: 1 MB for a vocabulary of 262,144
        )
        return [self._reply(*text) for text in zip(*new_tokens(output), strict=True)]

    def _reply(self, token_ids: list[int], probabilities: list[float]) -> Reply:
        length = next((n for n, token in enumerate(token_ids) if token in self._ends), len(token_ids))
        text, ends = decode(token_ids[:length], self._tokenizer)
        return Reply(
            text=text,
            token_ends=ends,
            probabilities=tuple(probabilities[:length]),
            ended=length < len(token_ids),
        )


class _MixedRowsError(Exception):
    """The rows of a batch begin with different scores although they have the same prompt and images."""


class _CheckScores(LogitsProcessor):  # type: ignore[misc]  # transformers is not typed
    """Ends the generation if scores are not finite, or if the images of texts and beams are mixed up.

    `generate` repeats each tensor of the inputs for every text or beam. Many models have the images of all texts in one
    list, which is then in another order than the texts, unless transformers handles this model. No other check detects
    that a text is about the wrong images.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._is_first = True

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the scores [N,vocabulary] as they are."""
        if not bool(scores.amax(-1).isfinite().all()):  # single tokens may have -inf
            raise CheckpointError(
                f"{self._name}: computes NaN or infinite numbers, so no reply can be trusted; set runtime.dtype to "
                "float32 or bfloat16, or download the model again"
            )
        # The tolerance is that of bfloat16, which has 8 significant bits.
        if self._is_first and not torch.allclose(scores, scores[:1].expand_as(scores), rtol=0.02, atol=0.05):
            raise _MixedRowsError
        self._is_first = False
        return scores


def _without_sampling(config: GenerationConfig, tokenizer: Any) -> GenerationConfig:
    """Return the generation settings of a model without those that a `Decoding` replaces.

    Others stay, such as a repetition penalty or a length penalty: the authors chose them for their model.
    """
    config = copy.deepcopy(config)
    config.update(do_sample=False, temperature=None, top_k=None, top_p=None, typical_p=None, min_p=None)
    config.update(num_beams=1, num_return_sequences=1, max_length=None, max_new_tokens=None)
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:  # texts that have ended are filled with it
        config.pad_token_id = next(iter(_as_ids(config.eos_token_id)), 0)
    return config


def _as_ids(token_ids: int | Collection[int] | None) -> frozenset[int]:
    if token_ids is None:
        return frozenset()
    return frozenset([token_ids] if isinstance(token_ids, int) else token_ids)
