"""Build the request for a chat completion."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from typing import Any

import PIL.Image

from report_gen.backends.interface import ChatMessage, ChatRequest, Pixels
from report_gen.generation import Decoding

_CONTROL_TOKEN = re.compile(
    r"<\|[\w ]{1,40}\|>|<(?:start|end)_of_(?:turn|image)>|<(?:image|image_soft_token|__media__|bos|eos|unused\d{1,4})>"
    r"|</?s>|\[/?INST\]"
)
"""Control tokens of usual chat templates. A server reads them in any text: a header of a DICOM file could begin a
message of its own, or refer to an image that does not exist."""


def completion_request(model: str, chat: ChatRequest, decoding: Decoding, number: int) -> dict[str, Any]:
    """Return the request for a candidate.

    `max_tokens` is also known to servers that do not know its later name `max_completion_tokens`. Candidates are not
    requested by `n`, which llama.cpp and Ollama do not have. llama.cpp gives probabilities only with `top_logprobs`.
    """
    content: dict[str, Any] = {
        "model": model,
        "messages": [_message(one) for one in chat.messages],
        "max_tokens": decoding.max_tokens,
        "logprobs": True,
        "top_logprobs": 1,
        "stream": False,
    }
    if number == 0 and decoding.method == "greedy":
        return content | {"temperature": 0}
    digest = hashlib.sha256(f"{chat.seed}\0{number}".encode()).digest()
    seed = int.from_bytes(digest[:4], "big") >> 1  # some servers refuse seeds of more than 31 bits
    return content | {"temperature": decoding.temperature, "top_p": decoding.top_p, "seed": seed}


def _message(message: ChatMessage) -> dict[str, Any]:
    text = _CONTROL_TOKEN.sub(" ", message.text)
    if not message.images:
        return {"role": message.role, "content": text}
    images = [{"type": "image_url", "image_url": {"url": _data_url(one)}} for one in message.images]
    return {"role": message.role, "content": [*images, {"type": "text", "text": text}]}


def _data_url(pixels: Pixels) -> str:
    png = io.BytesIO()
    # Images are encoded for each candidate, so that at most `concurrency` requests are in memory. Level 1 is fast.
    PIL.Image.fromarray(pixels).save(png, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
