"""Load a drafter with the settings that were measured to be fastest on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from report_gen.arguments import DtypeName
from report_gen.drafting.drafter import Drafter
from report_gen.model import find_tuning, manifest_digest, resolve_device


def load_tuned_drafter(
    checkpoint: Path | None, *, base: str | None = None, device: str = "auto", dtype: DtypeName = "auto"
) -> Drafter:
    """Load a checkpoint onto a device, as `Drafter.load`, with what `report-gen bench --tune` remembered for it.

    The number of threads is set for the whole process, unless the environment variable OMP_NUM_THREADS is set. It is
    never raised: a process beside others computes with one thread.

    Args:
        checkpoint: Checkpoint folder; None for the embedded checkpoint.
        base: Base of a checkpoint that is an adapter; None for the installed package that the checkpoint names.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `auto`, `float32`, `bfloat16` or `int8`. On a CPU `auto` is the remembered one; without one, and on other
            devices, see `resolve_dtype`.

    Raises:
        CheckpointError: The checkpoint is missing, altered or does not fit, or the base of an adapter is not found.
        UsageError: The device is unknown or not available, or `base` is given for no adapter.
    """
    if dtype == "auto" and resolve_device(device).type == "cpu":
        tuning = find_tuning(manifest_digest(checkpoint))
        if tuning is not None:
            dtype = tuning.dtype
            if "OMP_NUM_THREADS" not in os.environ:
                torch.set_num_threads(min(tuning.threads, torch.get_num_threads()))
    return Drafter.load(checkpoint, base=base, device=device, dtype=dtype)
