"""The settings of a checkpoint that were measured to be fastest on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from report_gen.arguments import DtypeName
from report_gen.model import find_tuning, manifest_digest, resolve_device


def apply_tuning(checkpoint: Path, *, device: str, dtype: DtypeName) -> DtypeName:
    """Return the type with which a checkpoint drafts fastest, and set the number of threads.

    Both are what `report-gen bench --tune` remembered for this checkpoint on a CPU. The number of threads is set for
    the whole process, unless the environment variable OMP_NUM_THREADS is set. It is never raised: a process beside
    others computes with one thread.

    Args:
        checkpoint: Checkpoint folder.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `auto` takes the remembered type. Another type stays, and so does `auto` if nothing is remembered, or on
            other devices.

    Raises:
        CheckpointError: There is no checkpoint.
        UsageError: The device is unknown or not available.
    """
    if dtype != "auto" or resolve_device(device).type != "cpu":
        return dtype
    tuning = find_tuning(manifest_digest(checkpoint))
    if tuning is None:
        return dtype
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(tuning.threads, torch.get_num_threads()))
    return tuning.dtype
