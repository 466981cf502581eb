"""Chats and descriptions for tests of backends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from report_gen.backends import ChatMessage, ChatRequest, ModelDescription, Pixels, load_description

PROMPT = "Write the findings."


def image(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def chat(images: int = 1, *, text: str = PROMPT, system: str = "", seed: int = 1) -> ChatRequest:
    """Return a chat whose images follow from its seed."""
    pixels = tuple(image(100 * seed + n) for n in range(images))
    first = (ChatMessage(role="system", text=system),) if system else ()
    return ChatRequest(messages=(*first, ChatMessage(role="user", text=text, images=pixels)), seed=seed)


def describe(folder: Path, *, backend: str = "image-text", **tables: dict[str, Any]) -> ModelDescription:
    """Write a description beside the folder of a model, and load it."""
    lines = ['name = "tiny"', f'backend = "{backend}"', f'model = "{folder.name}"']
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{key} = {value!r}" for key, value in values.items())]
    path = folder.parent / f"{folder.name}.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_description(path)


def no_deadline() -> None:
    """Let a generation go on."""
