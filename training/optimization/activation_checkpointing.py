"""Recompute activations in the backward pass, which saves memory."""

from __future__ import annotations

from typing import Any

from report_gen.errors import RecipeError


def checkpoint_activations(network: Any) -> None:
    """Let a model of transformers recompute the activations of its layers while it is in training mode.

    Raises:
        RecipeError: The model does not support it.
    """
    # transformers is renaming the method; both take the arguments of torch's checkpoint function.
    enable = getattr(network, "activation_checkpointing_enable", None)
    try:
        (enable or network.gradient_checkpointing_enable)({"use_reentrant": False})
    except ValueError as error:
        raise RecipeError(
            f"checkpoint_activations: a {network.config.model_type} model does not support it; set it to false"
        ) from error
