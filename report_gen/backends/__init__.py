"""Published models that answer a chat with images: their descriptions, and the backends that run them.

Modules are imported at their first use, because descriptions are read without torch and transformers.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.backends.agreement import with_agreement
    from report_gen.backends.description import (
        BackendDescription,
        ModelDescription,
        built_in_descriptions,
        describe_hub_model,
        load_description,
    )
    from report_gen.backends.interface import (
        Backend,
        BackendInfo,
        ChatMessage,
        ChatRequest,
        GenerationError,
        Pixels,
        Reply,
    )
    from report_gen.backends.replies import ParsedReply, parse_reply
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "agreement": ("with_agreement",),
            "description": (
                "BackendDescription",
                "ModelDescription",
                "built_in_descriptions",
                "describe_hub_model",
                "load_description",
            ),
            "interface": (
                "Backend",
                "BackendInfo",
                "ChatMessage",
                "ChatRequest",
                "GenerationError",
                "Pixels",
                "Reply",
            ),
            "replies": ("ParsedReply", "parse_reply"),
        },
    )

__all__ = [
    "Backend",
    "BackendDescription",
    "BackendInfo",
    "ChatMessage",
    "ChatRequest",
    "GenerationError",
    "ModelDescription",
    "ParsedReply",
    "Pixels",
    "Reply",
    "built_in_descriptions",
    "describe_hub_model",
    "load_description",
    "parse_reply",
    "with_agreement",
]
