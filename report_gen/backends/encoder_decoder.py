"""Backend for VisionEncoderDecoderModel of transformers: an image encoder and a decoder without a prompt (ViT-GPT2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer

from report_gen.backends.answered_chat import AnsweredChat
from report_gen.backends.chat_format import one_image_error
from report_gen.backends.description import ModelDescription
from report_gen.backends.hub_backend import HubBackend
from report_gen.backends.hub_loading import ENCODER_DECODER, load_hub_model
from report_gen.backends.interface import ChatRequest


class EncoderDecoderBackend(HubBackend):
    """Writes a text about one image. The texts of the chat are not used, because such a model has no prompt.

    Args:
        description: The model. Its folder has an image processor and a tokenizer.
        device: As in `resolve_device`.

    Raises:
        CheckpointError: The model cannot be loaded, see `load_hub_model`.
        ResourceError: Memory is exhausted.
        UsageError: The device or quantization is not available on this computer.
    """

    def __init__(self, description: ModelDescription, device: str = "auto") -> None:
        loaded = load_hub_model(description, {ENCODER_DECODER}, device)
        tokenizer = loaded.load_part(AutoTokenizer, "tokenizer (tokenizer.json)")
        self._processor = loaded.load_part(AutoImageProcessor, "image processor (preprocessor_config.json)")
        super().__init__(loaded, tokenizer)

    def encode_answered(self, chat: ChatRequest, answer: str, max_tokens: int) -> AnsweredChat:
        """Return the inputs and targets with which the model learns an answer. See `HubBackend.encode_answered`."""
        images = self._encode(chat)
        end = self._tokenizer.eos_token_id
        labels = self._answer_ids(answer, end if end in self._ends else min(self._ends), max_tokens)
        self._check_length(images, len(labels))
        start = self._model.generation_config.decoder_start_token_id
        if start is None:  # as `generate` does it
            start = self._model.generation_config.bos_token_id
        decoder_input_ids = torch.cat([labels.new_tensor([start]), labels[:-1]])
        return AnsweredChat(sequences={"decoder_input_ids": decoder_input_ids}, images=images, labels=labels)

    def _encode(self, chat: ChatRequest) -> Mapping[str, Any]:
        images = [pixels for message in chat.messages for pixels in message.images]
        if len(images) != 1:  # a text about one image must not describe the whole study
            raise one_image_error(len(images))
        pixel_values = self._processor(Image.fromarray(images[0]), return_tensors="pt")["pixel_values"]
        return {"pixel_values": pixel_values.to(self._model.device, self._model.dtype)}
