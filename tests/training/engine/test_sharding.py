"""The accelerate configurations are valid, and a sharded model learns the same as a whole one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import report_gen_training
from accelerate import Accelerator
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from report_gen_training.benchmarks.child_processes import finish, fork, start
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora
from report_gen_training.engine import session
from report_gen_training.engine.sharding import build_trainable_model
from report_gen_training.recipe.schema import Recipe, StageRecipe
from report_gen_training.run.events import Progress
from torch.distributed.tensor import DTensor

from report_gen.config import SequenceConfig
from report_gen.errors import RecipeError
from tests.builders import tiny_model

FILES = Path(report_gen_training.__file__).with_name("accelerate")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("multi_gpu", DistributedType.MULTI_GPU),
        ("fsdp", DistributedType.FSDP),
        ("deepspeed", DistributedType.DEEPSPEED),
    ],
)
def test_accelerate_reads_its_configurations(name: str, kind: DistributedType) -> None:
    config = load_config_from_file(str(FILES / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == kind
    assert config.mixed_precision == "no"
    assert len(list(FILES.glob("*.yaml"))) == 3


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (DistributedType.FSDP, {"ema_decay": 0.9}, "ema_decay needs the whole model on every process"),
        (DistributedType.FSDP, {"scst": {"weight": 1.0}}, "scst.weight needs the whole model on every process"),
        (DistributedType.DEEPSPEED, {"accumulate": 2}, "DeepSpeed updates the weights after every batch"),
    ],
)
def test_unsupported_features_of_a_sharded_model_are_refused(
    kind: DistributedType, changes: dict[str, Any], message: str
) -> None:
    class Launched:
        distributed_type = kind

    values = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {"decoder": 1e-3}}
    stage = StageRecipe.model_validate(values | changes)
    with pytest.raises(RecipeError, match=f"stage 's': {message}"):
        build_trainable_model(tiny_model(), stage, Launched())  # type: ignore[arg-type]


class OnCpu(Accelerator):
    """accelerate's FSDP, which needs GPUs, forced to shard a model over gloo as fsdp.yaml says."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        config = load_config_from_file(str(FILES / "fsdp.yaml"))
        os.environ |= {key.upper(): str(value) for key, value in config.fsdp_config.items()}
        AcceleratorState._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin()
        for state in (AcceleratorState, PartialState):
            state._shared_state["distributed_type"] = DistributedType.FSDP

    def prepare(self, *objects: Any) -> Any:
        prepared = super().prepare(*objects)
        if not all(isinstance(parameter, DTensor) for parameter in prepared[0].parameters()):
            sys.exit("the model was not sharded")
        return prepared


def train_sharded(recipe: Recipe, folder: Path, resume: bool, dies_at: tuple[str, int] | None) -> None:
    def on_step(now: Progress) -> None:
        if (now.stage, now.step) == dies_at:
            os._exit(9)

    session.Accelerator = OnCpu  # type: ignore[misc]
    session.train(recipe, folder, resume=resume, on_step=on_step)


def test_a_sharded_model_learns_the_same_as_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed once; gradients, their clipping, several batches per step and the resumed optimizer state are right."""
    monkeypatch.syspath_prepend(Path(__file__).parents[3])  # a child process imports this file by its name
    recipe = small_recipe(
        write_corpora(tmp_path, studies=7), stage={"steps": 4, "batch_size": 5, "ema_decay": 0.0}, dropout=0.0
    )
    sequence = SequenceConfig(kind="recurrent", width=16, dropout=0.0)  # its network keeps references to parameters
    model = recipe.model.model_copy(update={"sequence": sequence})
    recipe = recipe.model_copy(update={"save_minutes": 0.0, "model": model})
    finish(start(recipe, tmp_path / "whole"))
    for resume, dies_at in ((False, ("decoder", 3)), (True, None)):
        children = fork(train_sharded, (recipe, tmp_path / "sharded", resume, dies_at), processes=2)
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0, 0]
    whole, sharded = ((tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "sharded"))
    for one, other in zip(map(json.loads, whole), map(json.loads, sharded), strict=True):
        assert (one["kind"], one["stage"], one["step"]) == (other["kind"], other["stage"], other["step"])
        assert other.get("loss", 0.0) == pytest.approx(one.get("loss", 0.0), abs=1e-4)
