"""Published models that answer a chat with images: their descriptions, and the backends that run them.

Modules are imported at their first use, because descriptions are read without torch and transformers.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.backends.adapter_loading import adapter_digest
    from report_gen.backends.agreement import with_agreement
    from report_gen.backends.answered_chat import IGNORED_LABEL, AnsweredChat
    from report_gen.backends.backend_loading import load_backend
    from report_gen.backends.chat_prompt import LONGEST_CHAT_VALUE, ChatPrompt
    from report_gen.backends.description import (
        DESCRIPTION_SUFFIX,
        FOLDER_DESCRIPTION,
        Adapter,
        BackendDescription,
        ModelDescription,
        built_in_descriptions,
        describe_folder,
        describe_hub_model,
        load_description,
    )
    from report_gen.backends.encoder_decoder import EncoderDecoderBackend
    from report_gen.backends.endpoint import EndpointBackend
    from report_gen.backends.hub_backend import HubBackend
    from report_gen.backends.image_text import ImageTextBackend
    from report_gen.backends.interface import (
        Backend,
        BackendInfo,
        ChatMessage,
        ChatRequest,
        CheckTime,
        GenerationError,
        Pixels,
        Reply,
    )
    from report_gen.backends.replies import ParsedReply, parse_reply
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "backend_loading": ("load_backend",),
            "chat_prompt": ("LONGEST_CHAT_VALUE", "ChatPrompt"),
            "agreement": ("with_agreement",),
            "adapter_loading": ("adapter_digest",),
            "answered_chat": ("IGNORED_LABEL", "AnsweredChat"),
            "description": (
                "DESCRIPTION_SUFFIX",
                "FOLDER_DESCRIPTION",
                "Adapter",
                "BackendDescription",
                "ModelDescription",
                "adapter_digest",
                "built_in_descriptions",
                "describe_folder",
                "describe_hub_model",
                "load_description",
            ),
            "endpoint": ("EndpointBackend",),
            "encoder_decoder": ("EncoderDecoderBackend",),
            "hub_backend": ("HubBackend",),
            "image_text": ("ImageTextBackend",),
            "interface": (
                "Backend",
                "BackendInfo",
                "ChatMessage",
                "ChatRequest",
                "CheckTime",
                "GenerationError",
                "Pixels",
                "Reply",
            ),
            "replies": ("ParsedReply", "parse_reply"),
        },
    )

__all__ = [
    "DESCRIPTION_SUFFIX",
    "FOLDER_DESCRIPTION",
    "IGNORED_LABEL",
    "LONGEST_CHAT_VALUE",
    "Adapter",
    "AnsweredChat",
    "Backend",
    "BackendDescription",
    "BackendInfo",
    "ChatMessage",
    "ChatPrompt",
    "ChatRequest",
    "CheckTime",
    "EncoderDecoderBackend",
    "EndpointBackend",
    "GenerationError",
    "HubBackend",
    "ImageTextBackend",
    "ModelDescription",
    "ParsedReply",
    "Pixels",
    "Reply",
    "adapter_digest",
    "built_in_descriptions",
    "describe_folder",
    "describe_hub_model",
    "load_backend",
    "load_description",
    "parse_reply",
    "with_agreement",
]
