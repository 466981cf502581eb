"""Backend for AutoModelForImageTextToText of transformers: LLaVA, PaliGemma, Gemma 3, Qwen-VL, Idefics, BLIP-2, ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image
from transformers import AutoProcessor

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

    def _encode(self, chat: ChatRequest) -> Mapping[str, Any]:
        images = [Image.fromarray(pixels) for message in chat.messages for pixels in message.images]
        if len(images) > self._max_images:
            raise GenerationError(
                f"{len(images)} images, but the model takes {self._max_images}; give fewer images, or raise "
                "images.max_images in the description if the model was trained for more"
            )
        encoded = self._format.encode(chat.messages, images).to(self._model.device, dtype=self._model.dtype)
        return {name: value for name, value in encoded.items() if name not in _UNUSED}
