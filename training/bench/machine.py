"""Describe the machine of a benchmark. Host names and paths are not part of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil
import torch

_PACKAGES = ("report-gen", "torch", "transformers", "timm")
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_tile")


def describe_machine() -> dict[str, object]:
    """Return processor, cores, memory, load, GPU and versions."""
    return {
        "processor": _processor(),
        "features": [name for name in _FEATURES if name in _flags()],
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


def _processor() -> str:
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _flags() -> list[str]:
    return _cpu_info("flags").split()


def _cpu_info(key: str) -> str:
    """Return a field of the first processor in Linux's list of processors; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")
