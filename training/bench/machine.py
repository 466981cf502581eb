"""Describe the machine of a benchmark. Host names and paths are not part of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version

import psutil
import torch

from report_gen.model import processor_features, processor_name

_PACKAGES = ("report-gen", "torch", "transformers", "timm")


def describe_machine() -> dict[str, object]:
    """Return processor, cores, memory, load, GPU and versions."""
    return {
        "processor": processor_name(),
        "features": processor_features(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {name: version(name) for name in _PACKAGES},
    }


def describe_shortly(machine: Mapping[str, object]) -> str:
    """Return one line about a machine that `describe_machine` described."""
    features = ", ".join(machine["features"]) if isinstance(machine["features"], list) else ""
    return (
        f"{machine['processor']} ({features}), {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['memory_gib']} GiB, load {machine['load']}"
    )
