"""A model of which every process holds a part (FSDP, DeepSpeed): how it learns, is validated and is saved.

Validation, drafting and saving want the whole model. So a twin of it is cut up and learns, and the model itself is kept
whole on every process and is filled from the twin before it is looked at. Gradients and the optimiser's memories, which
are three quarters of what training needs, stay in parts.
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

from ..recipe.schema import StageRecipe
from ..run.folder import TrainState
from ..run.state import Tensors
from .trainable_model import TrainableModel

_WHOLE = StateDictOptions(full_state_dict=True)
_ON_MAIN = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Whole on the main process, nothing on the others."""


def build_trainable_model(model: ReportModel, stage: StageRecipe, accelerator: Accelerator) -> TrainableModel:
    """The learner for the way in which accelerate was launched.

    Raises:
        RecipeError: the stage wants what a model in parts cannot do.
    """
    if accelerator.distributed_type not in (DistributedType.FSDP, DistributedType.DEEPSPEED):
        return TrainableModel(model, stage, accelerator)
    _refuse(stage, deepspeed=accelerator.distributed_type == DistributedType.DEEPSPEED)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        _prepare_deepspeed(accelerator, stage)
    return ShardedModel(model, stage, accelerator)


class ShardedModel(TrainableModel):
    """Under DeepSpeed the optimiser's memories are not saved: a resumed run begins them anew."""

    is_sharded = True

    def __init__(self, model: ReportModel, stage: StageRecipe, accelerator: Accelerator) -> None:
        self._whole = model
        self._has_moments = accelerator.distributed_type == DistributedType.FSDP
        super().__init__(copy.deepcopy(model), stage, accelerator)

    def restore(self, state: TrainState) -> None:
        if not state.optimizer or not self._has_moments:
            return
        optimizer = self._plain_optimizer()
        whole: dict[str, Any] = get_optimizer_state_dict(self.forward, optimizer, options=_WHOLE)
        for name, memories in whole["state"].items():
            for kind in memories:  # in torch's order, by which it tells them apart
                memories[kind] = state.optimizer.get(f"{name}/{kind}", memories[kind])
        set_optimizer_state_dict(self.forward, optimizer, whole, options=_WHOLE)
        for name, parameter in self.forward.named_parameters():
            if f"{name}/step" not in state.optimizer:  # it had no gradient yet, and torch made a memory up
                optimizer.state.pop(parameter, None)

    def collect(self) -> None:
        parts = self._accelerator.get_state_dict(self.forward)  # whole on the main process alone
        for name, tensor in self._whole.state_dict().items():
            if self._accelerator.is_main_process:
                tensor.copy_(parts[name])
            if self._accelerator.num_processes > 1:
                torch.distributed.broadcast(tensor, src=0)

    def moments(self) -> Tensors:
        optimizer = self._plain_optimizer()
        if not self._has_moments or not optimizer.state:  # torch would make an empty one up
            return {}
        kept: dict[str, Any] = get_optimizer_state_dict(self.forward, optimizer, options=_ON_MAIN)
        return {
            f"{name}/{kind}": value
            for name, memories in kept.get("state", {}).items()
            for kind, value in memories.items()
        }

    def _plain_optimizer(self) -> torch.optim.Optimizer:
        plain: torch.optim.Optimizer = self._optimizer.optimizer
        return plain


def _refuse(stage: StageRecipe, *, deepspeed: bool) -> None:
    wanted = {"average": stage.average > 0, "reward.weight": stage.reward.weight > 0}
    for key in (key for key, is_wanted in wanted.items() if is_wanted):
        raise RecipeError(
            f"stage {stage.name!r}: {key} needs the whole model on every process, and FSDP and DeepSpeed cut it up; "
            f"leave {key} out, or launch with multi_gpu.yaml"
        )
    if deepspeed and stage.accumulate > 1:
        raise RecipeError(
            f"stage {stage.name!r}: DeepSpeed moves the weights after every batch; leave accumulate out, or launch "
            "with fsdp.yaml"
        )


def _prepare_deepspeed(accelerator: Accelerator, stage: StageRecipe) -> None:
    """What DeepSpeed would otherwise take from a data loader and from its own file."""
    settings = accelerator.state.deepspeed_plugin.deepspeed_config
    settings["train_micro_batch_size_per_gpu"] = -(-stage.batch_size // accelerator.num_processes)
    settings["gradient_accumulation_steps"] = 1
    settings["gradient_clipping"] = stage.clip
