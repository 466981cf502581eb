"""Switch off the network in the libraries of Hugging Face, for commands that need nothing from a hub."""

from __future__ import annotations

import os
import sys

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_EVALUATE_OFFLINE": "1",
    "USE_HUB_KERNELS": "0",
}
"""Environment variables that keep the libraries from downloading models, data sets, metrics and kernels."""

ONLINE_COMMANDS = ("train",)
"""Commands that may download: a recipe can name a language model or encoder weights of a hub."""


def work_offline() -> None:
    """Switch off the network for this process and its children.

    The libraries read these variables when they are imported, so a command line calls this function first. The setting
    of a library that is imported already, as in a notebook, is changed as well.
    """
    os.environ.update(OFFLINE)
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
