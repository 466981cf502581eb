"""Published models that answer a chat with images: their descriptions, and the backends that run them.

Modules are imported at their first use, because descriptions are read without torch and transformers.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.backends.description import (
        BackendDescription,
        ModelDescription,
        built_in_descriptions,
        describe_hub_model,
        load_description,
    )
    from report_gen.backends.encoder_decoder import EncoderDecoderBackend
    from report_gen.backends.image_text import ImageTextBackend
    from report_gen.backends.interface import (
        Backend,
        BackendInfo,
        ChatMessage,
        ChatRequest,
        GenerationError,
        Pixels,
        Reply,
    )
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "description": (
                "BackendDescription",
                "ModelDescription",
                "built_in_descriptions",
                "describe_hub_model",
                "load_description",
            ),
            "encoder_decoder": ("EncoderDecoderBackend",),
            "image_text": ("ImageTextBackend",),
            "interface": (
                "Backend",
                "BackendInfo",
                "ChatMessage",
                "ChatRequest",
                "GenerationError",
                "Pixels",
                "Reply",
            ),
        },
    )

__all__ = [
    "Backend",
    "BackendDescription",
    "BackendInfo",
    "ChatMessage",
    "ChatRequest",
    "EncoderDecoderBackend",
    "GenerationError",
    "ImageTextBackend",
    "ModelDescription",
    "Pixels",
    "Reply",
    "built_in_descriptions",
    "describe_hub_model",
    "load_description",
]
