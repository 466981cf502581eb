"""Losses, optimizer and learning rates, moving average, adapters, and self-critical training."""

from .activation_checkpointing import checkpoint_activations
from .adapters import adapter_config, adapter_state, add_adapters, frozen_parameters, is_adapter, merged_state
from .ema import MovingAverage
from .objectives import (
    attention_loss,
    attribute_loss,
    finding_loss,
    has_boxes,
    location_loss,
    policy_loss,
    report_loss,
)
from .optimizer import (
    belongs_to_image,
    build_optimizer,
    encoder_layers,
    learning_rates,
    parameters_by_part,
    set_rates,
    set_train_mode,
)
from .scst import Sampled, sample_drafts, self_critical_loss
from .scst_sampler import ScstSampler

__all__ = [
    "MovingAverage",
    "Sampled",
    "ScstSampler",
    "adapter_config",
    "adapter_state",
    "add_adapters",
    "attention_loss",
    "attribute_loss",
    "belongs_to_image",
    "build_optimizer",
    "checkpoint_activations",
    "encoder_layers",
    "finding_loss",
    "frozen_parameters",
    "has_boxes",
    "is_adapter",
    "learning_rates",
    "location_loss",
    "merged_state",
    "parameters_by_part",
    "policy_loss",
    "report_loss",
    "sample_drafts",
    "self_critical_loss",
    "set_rates",
    "set_train_mode",
]
