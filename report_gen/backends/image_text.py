"""Backend for AutoModelForImageTextToText of transformers: LLaVA, PaliGemma, Gemma 3, Qwen-VL, Idefics, BLIP-2, ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from transformers import AutoProcessor

from report_gen.backends.answered_chat import IGNORED_LABEL, AnsweredChat
from report_gen.backends.chat_format import ChatFormat
from report_gen.backends.description import ModelDescription
from report_gen.backends.hub_backend import HubBackend
from report_gen.backends.hub_loading import IMAGE_TEXT, load_hub_model
from report_gen.backends.interface import ChatRequest, GenerationError
from report_gen.errors import CheckpointError

_UNUSED = ("labels",)
"""Outputs of processors that `generate` refuses: the labels of PaliGemma are for training."""


class ImageTextBackend(HubBackend):
    """Answers a chat with images.

    Args:
        description: The model. Its folder has a processor for images and text.
        device: As in `resolve_device`.

    Raises:
        CheckpointError: The model cannot be loaded, see `load_hub_model`, or its processor or chat template has no
            place for images.
        ResourceError: Memory is exhausted.
        UsageError: The device or quantization is not available on this computer.
    """

    def __init__(self, description: ModelDescription, device: str = "auto") -> None:
        loaded = load_hub_model(description, IMAGE_TEXT, device)
        processor = loaded.load_part(AutoProcessor, "processor (processor_config.json or preprocessor_config.json)")
        if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
            raise CheckpointError(
                f"{loaded.info.model}: its processor has no images or no text; add preprocessor_config.json and the "
                "files of the tokenizer to the folder of the model"
            )
        self._max_images = description.settings.images.max_images
        self._format = ChatFormat(processor, loaded.info.model)
        super().__init__(loaded, processor.tokenizer)

    def encode_answered(self, chat: ChatRequest, answer: str, max_tokens: int) -> AnsweredChat:
        """Return the inputs and targets with which the model learns an answer. See `HubBackend.encode_answered`."""
        encoded = self._encode_chat(chat)
        ids = self._answer_ids(answer, self._format.end_token(self._ends), max_tokens)  # [T]
        prompt = encoded["input_ids"].shape[1]
        self._check_length(encoded, len(ids))
        # The answer is a text that each token attends to from later on, so its types are those of a text. In PaliGemma
        # the type 1 stands for it, and its processor returns labels to say so.
        fills = {"attention_mask": 1, "token_type_ids": int("labels" in encoded), "mm_token_type_ids": 0}
        sequences = {"input_ids": torch.cat([encoded["input_ids"][0], ids])}
        for name, fill in fills.items():
            if name in encoded:
                sequences[name] = torch.cat([encoded[name][0], torch.full_like(ids, fill)])
        labels = torch.cat([ids.new_full((prompt - 1,), IGNORED_LABEL), ids])  # the token after each position
        return AnsweredChat(
            sequences={name: values[:-1] for name, values in sequences.items()},  # nothing follows the last token
            images={name: value for name, value in encoded.items() if name not in (*sequences, *_UNUSED)},
            labels=labels,
        )

    def _encode(self, chat: ChatRequest) -> Mapping[str, Any]:
        return {name: value for name, value in self._encode_chat(chat).items() if name not in _UNUSED}

    def _encode_chat(self, chat: ChatRequest) -> Any:
        """Return the outputs of the processor, a BatchFeature with a batch of one."""
        images = [Image.fromarray(pixels) for message in chat.messages for pixels in message.images]
        if len(images) > self._max_images:
            raise GenerationError(
                f"{len(images)} images, but the model takes {self._max_images}; give fewer images, or raise "
                "images.max_images in the description if the model was trained for more"
            )
        return self._format.encode(chat.messages, images).to(self._model.device, dtype=self._model.dtype)
