"""Turn a chat into the inputs of a model, by the chat template of its processor or, without one, as plain text."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jinja2 import TemplateError
from PIL import Image

from report_gen.backends.interface import ChatMessage, GenerationError
from report_gen.errors import CheckpointError

_log = logging.getLogger(__name__)

_TEMPLATE_ERRORS = (TemplateError, TypeError, ValueError, LookupError, AttributeError)
"""Errors that a chat template causes: a template is a program, which can raise any of them."""

_PROBE, _SYSTEM_PROBE, _ANSWER_PROBE = "text of the user", "text of the system", "text of the assistant"
_PART = "'type':"
"""Text in the output of a template that prints a message as a Python list instead of reading its parts."""


class ChatFormat:
    """Encodes chats for one processor.

    Args:
        processor: Processor of transformers with images and text.
        name: The model, for error messages.

    Raises:
        CheckpointError: The chat template has no place for images.
    """

    def __init__(self, processor: Any, name: str) -> None:
        self._processor, tokenizer = processor, processor.tokenizer
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._control = sorted(special | ({_image_token(processor)} - {""}), key=len, reverse=True)
        if processor.chat_template is None:  # some folders have the template with the tokenizer
            processor.chat_template = tokenizer.chat_template
        self._has_template = processor.chat_template is not None
        if self._has_template:
            self._has_system = self._check_template(name)

    def _check_template(self, name: str) -> bool:
        """Return whether the chat template has a place for the text of the system; it must have one for images."""
        user = ChatMessage(role="user", text=_PROBE)
        with_image = self._render(replace(user, images=(np.zeros((1, 1, 3), np.uint8),)))
        if with_image is None or with_image == self._render(user):
            raise CheckpointError(
                f"{name}: its chat template has no place for images; use the processor that belongs to the model, with "
                "its chat_template.jinja"
            )
        with_system = self._render(ChatMessage(role="system", text=_SYSTEM_PROBE), user)
        if with_system is not None and _SYSTEM_PROBE in with_system:
            return True
        _log.debug("%s: its chat template has no system message; the text precedes that of the user", name)
        return False

    def encode(self, messages: Sequence[ChatMessage], images: Sequence[Image.Image]) -> Any:
        """Return the inputs of the model, a BatchFeature with a batch of one.

        Args:
            messages: The chat.
            images: The images of its messages.

        Raises:
            GenerationError: The model takes one image.
        """
        messages = [replace(message, text=self._without_control_tokens(message.text)) for message in messages]
        if not self._has_template:
            placeholder = self._placeholder()
            if len(images) > 1 and not placeholder:  # BLIP-2 would use the first one only
                raise one_image_error(len(images))
            # Models without a template continue a text, which begins with the images.
            text = placeholder * len(images) + "\n".join(message.text for message in messages)
            return self._processor(images=[list(images)], text=[text], return_tensors="pt")
        if not self._has_system:
            messages = _with_system_before_user(messages)
        return self._processor.apply_chat_template(
            _conversation(messages, list(images)),
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
        )

    def end_token(self, ends: Collection[int]) -> int:
        """Return the end token that the chat template writes after an answer, else the one of the tokenizer.

        Args:
            ends: The tokens that end a generation.
        """
        tokenizer = self._processor.tokenizer
        chat = [ChatMessage(role="user", text=_PROBE), ChatMessage(role="assistant", text=_ANSWER_PROBE)]
        if self._has_template:
            with contextlib.suppress(*_TEMPLATE_ERRORS):
                text = str(self._processor.apply_chat_template(_conversation(chat, []), tokenize=False))
                _, found, after = text.rpartition(_ANSWER_PROBE)
                ids = tokenizer(after, add_special_tokens=False)["input_ids"] if found else []
                if (token := next((one for one in ids if one in ends), None)) is not None:
                    return int(token)
        own = tokenizer.eos_token_id
        return int(own if own in ends else min(ends))

    def _render(self, *messages: ChatMessage) -> str | None:
        """Return the text of a chat, or None if the template does not take it."""
        images = [Image.fromarray(pixels) for message in messages for pixels in message.images]
        try:
            text = str(self._processor.apply_chat_template(_conversation(messages, images), add_generation_prompt=True))
        except _TEMPLATE_ERRORS:
            return None
        return text if _PROBE in text and _PART not in text else None

    def _placeholder(self) -> str:
        """Return the token that represents an image in a text; empty if a model needs none (BLIP-2, GIT)."""
        # The processors of BLIP-2 and PaliGemma insert the tokens themselves, but that of PaliGemma logs a warning.
        return "" if getattr(self._processor, "num_query_tokens", None) is not None else _image_token(self._processor)

    def _without_control_tokens(self, text: str) -> str:
        """Return a text without the control tokens of the model.

        A header of a DICOM file could otherwise begin a message of its own, or refer to an image that does not exist.
        """
        for token in self._control:
            text = text.replace(token, " ")
        return text


def _conversation(messages: Sequence[ChatMessage], images: list[Image.Image]) -> list[dict[str, Any]]:
    """Return a chat as chat templates read it."""
    remaining = iter(images)
    return [
        {
            "role": message.role,
            "content": [
                *({"type": "image", "image": next(remaining)} for _ in message.images),
                {"type": "text", "text": message.text},
            ],
        }
        for message in messages
    ]


def _with_system_before_user(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Return a chat whose first message of the user begins with the text of the system."""
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    others = [message for message in messages if message.role != "system"]
    if not system:
        return others
    return [replace(others[0], text=f"{system}\n\n{others[0].text}"), *others[1:]]


def _image_token(processor: Any) -> str:
    token = getattr(processor, "image_token", "")
    return str(getattr(token, "content", token))  # a text or an AddedToken


def one_image_error(count: int) -> GenerationError:
    """Return the error for a chat whose number of images is not 1, although the model takes one image."""
    return GenerationError(
        f"{count} images, but the model takes one; set images.max_images = 1 in the description, or give one image"
    )
