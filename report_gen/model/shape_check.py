"""Compare the configuration of a checkpoint with the shapes of its weights before a model is built.

The order protects the memory: the header of the weights gives the shapes of the tensors, and the configuration is
compared with them on a model without memory (device `meta`). Only a model that fits is built, so it is never larger
than the file, together with the base if the checkpoint is an adapter.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from report_gen.config import ModelConfig
from report_gen.errors import CheckpointError
from report_gen.model.checkpoint_files import CONFIG
from report_gen.model.feature_numbers import Encode
from report_gen.model.initialization import WithoutInitialization
from report_gen.model.report_model import ReportModel
from report_gen.model.weights import Shapes, stored_tensors

MAX_UNSTORED_BYTES = 4 * 1e9
"""Largest size of the buffers that a model computes when it is built, such as causal masks, bytes."""


def check_shapes(config: ModelConfig, shapes: Shapes, path: Path, *, encode: Encode | None = None) -> None:
    """Compare a configuration with the shapes of stored weights, without memory for the model.

    Args:
        config: Configuration of the model.
        shapes: Shapes by name, from `read_header`.
        path: File of the weights, for the error message.
        encode: Tokenizer, needed by the conditioning `numbers` alone.

    Raises:
        CheckpointError: A tensor is missing, unexpected or of another shape, or the model cannot be built.
    """
    try:
        with torch.device("meta"), WithoutInitialization():
            model = ReportModel(config, encode=encode, for_inference=config.adapter is None)
    except CheckpointError as error:
        raise CheckpointError(f"{path.with_name(CONFIG)}: {error}") from error
    if config.adapter is None:
        expected = {name: tuple(tensor.shape) for name, tensor in stored_tensors(model).items()}
    else:
        from report_gen.model.adapter import adapter_shapes  # loads transformers

        expected = adapter_shapes(model, config.adapter, stored=shapes.keys())
    faults = sorted(set(expected) ^ set(shapes)) or sorted(
        name for name, shape in expected.items() if shape != tuple(shapes[name])
    )
    if faults:
        raise CheckpointError(
            f"{path}: {len(faults)} tensors do not fit {CONFIG}, such as {faults[0][:200]}; copy the checkpoint again"
        )
    names = set(model.state_dict())
    unstored = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in names)
    if unstored > MAX_UNSTORED_BYTES:
        raise CheckpointError(
            f"{path.with_name(CONFIG)}: the model would need {math.ceil(unstored / 1e9)} GB for masks and position "
            "tables; use a checkpoint whose decoder has fewer positions"
        )
