"""Train a model that is sharded over the processes (FSDP, DeepSpeed).

Validation, drafting and saving need the whole model. Therefore a copy of the model is sharded and trained, and the
original stays whole on every process and gets the weights of the copy before it is used. Gradients and optimizer state,
three quarters of the memory that training needs, stay sharded.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from report_gen.errors import RecipeError
from report_gen.model import ReportModel

from ..recipe import StageRecipe
from ..run import Tensors, TrainState
from .trainable_model import TrainableModel

_WHOLE = StateDictOptions(full_state_dict=True)
_ON_MAIN = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Whole state on the main process, nothing on the others."""


def build_trainable_model(model: ReportModel, stage: StageRecipe, accelerator: Accelerator) -> TrainableModel:
    """Return the trainable model for the way in which accelerate was launched.

    Raises:
        RecipeError: The stage uses a feature that a sharded model does not support.
    """
    if accelerator.distributed_type not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return TrainableModel(model, stage, accelerator)
    _refuse(stage, deepspeed=accelerator.distributed_type == DistributedType.DEEPSPEED)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        _prepare_deepspeed(accelerator, stage)
    return ShardedModel(model, stage, accelerator)


class ShardedModel(TrainableModel):
    """A trainable model of which every process holds a part.

    Under DeepSpeed the optimizer state is not saved: a resumed run starts with an empty one.
    """

    is_sharded = True

    def __init__(self, model: ReportModel, stage: StageRecipe, accelerator: Accelerator) -> None:
        self._whole = model
        self._saves_optimizer = accelerator.distributed_type == DistributedType.FSDP
        super().__init__(copy.deepcopy(model), stage, accelerator)

    def restore(self, state: TrainState) -> None:
        if not state.optimizer or not self._saves_optimizer:
            return
        optimizer = self._plain_optimizer()
        whole: dict[str, Any] = get_optimizer_state_dict(self.wrapped, optimizer, options=_WHOLE)
        for name, values in whole["state"].items():
            for kind in values:  # keep torch's order, which identifies the values
                values[kind] = state.optimizer.get(f"{name}/{kind}", values[kind])
        set_optimizer_state_dict(self.wrapped, optimizer, whole, options=_WHOLE)
        for name, parameter in self.wrapped.named_parameters():
            if f"{name}/step" not in state.optimizer:  # no gradient yet: torch has invented a state
                optimizer.state.pop(parameter, None)

    def gather_weights(self) -> None:
        parts = self._accelerator.get_state_dict(self.wrapped)  # whole on the main process only
        for name, tensor in self._whole.state_dict().items():
            if self._accelerator.is_main_process:
                tensor.copy_(parts[name])
            if self._accelerator.num_processes > 1:
                torch.distributed.broadcast(tensor, src=0)

    def optimizer_state(self) -> Tensors:
        optimizer = self._plain_optimizer()
        if not self._saves_optimizer or not optimizer.state:  # torch would invent an empty state
            return {}
        kept: dict[str, Any] = get_optimizer_state_dict(self.wrapped, optimizer, options=_ON_MAIN)
        return {
            f"{name}/{kind}": value for name, values in kept.get("state", {}).items() for kind, value in values.items()
        }

    def _plain_optimizer(self) -> torch.optim.Optimizer:
        plain: torch.optim.Optimizer = self._optimizer.optimizer
        return plain


def _refuse(stage: StageRecipe, *, deepspeed: bool) -> None:
    used = {"ema_decay": stage.ema_decay > 0, "scst.weight": stage.scst.weight > 0}
    for key in (key for key, is_used in used.items() if is_used):
        raise RecipeError(
            f"stage {stage.name!r}: {key} needs the whole model on every process, but FSDP and DeepSpeed shard it; "
            f"remove {key}, or launch with multi_gpu.yaml"
        )
    if deepspeed and stage.accumulate > 1:
        raise RecipeError(
            f"stage {stage.name!r}: DeepSpeed updates the weights after every batch; remove accumulate, or launch "
            "with fsdp.yaml"
        )


def _prepare_deepspeed(accelerator: Accelerator, stage: StageRecipe) -> None:
    """Set the values that DeepSpeed would otherwise take from a data loader and a configuration file."""
    settings = accelerator.state.deepspeed_plugin.deepspeed_config
    settings["train_micro_batch_size_per_gpu"] = -(-stage.batch_size // accelerator.num_processes)
    settings["gradient_accumulation_steps"] = 1
    settings["gradient_clipping"] = stage.clip
