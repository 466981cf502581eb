"""Store the data type and number of threads that were measured to be fastest for a checkpoint on this machine.

`report-gen bench --tune` measures and remembers; drafts on the command line use it where the user chooses nothing else.
The file is in the cache folder of the user and holds neither paths nor data of patients. Loads no torch.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_cache_path
from pydantic import Field, TypeAdapter, ValidationError

from report_gen.files import write_atomically

_FILE = "tuning.json"
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_tile")
"""Instruction sets that decide which data type is fast."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The fastest settings whose drafts are as good as those in float32."""

    dtype: Literal["float32", "bfloat16", "int8"]
    """As in `resolve_dtype`."""
    threads: Annotated[int, Field(ge=1)]
    """Threads of torch."""


_TUNINGS = TypeAdapter(dict[str, dict[str, Tuning]])
"""Digest of the manifest of a checkpoint -> machine -> settings."""


def find_tuning(checkpoint_digest: str) -> Tuning | None:
    """Return what was remembered for a checkpoint on this machine; None if nothing was.

    Args:
        checkpoint_digest: `manifest_digest` of the checkpoint.
    """
    return _read().get(checkpoint_digest, {}).get(describe_processor())


def remember_tuning(checkpoint_digest: str, tuning: Tuning) -> Path:
    """Remember settings for a checkpoint on this machine, and return the file that holds them.

    Raises:
        OutputError: The file cannot be written.
    """
    known = _read()
    known.setdefault(checkpoint_digest, {})[describe_processor()] = tuning
    path = tuning_file()
    content = {digest: {name: asdict(one) for name, one in machines.items()} for digest, machines in known.items()}
    write_atomically(path, json.dumps(content, indent=2) + "\n")
    return path


def tuning_file() -> Path:
    """Return the path of the file, which may not exist."""
    return user_cache_path("report-gen", appauthor=False) / _FILE


def describe_processor() -> str:
    """Return what the measurement depends on: the processor, its cores for this process, and the release of torch.

    Virtual machines may give processors with and without AVX-512 the same name, so the instruction sets are a part.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor_name()} ({', '.join(processor_features())}), {cores} cores, torch {version('torch')}"


def processor_name() -> str:
    """Return the name of the processor as the system gives it."""
    return _processor_field("model name") or platform.processor() or platform.machine()


def processor_features() -> list[str]:
    """Return the instruction sets of the processor that decide which data type is fast; empty if unknown."""
    flags = _processor_field("flags").split()
    return [name for name in _FEATURES if name in flags]


def _processor_field(key: str) -> str:
    """Return a field of the first processor in Linux's list of processors; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def _read() -> dict[str, dict[str, Tuning]]:
    """Return all settings; none if the file is missing or damaged, because they can be measured again."""
    path = tuning_file()
    try:
        return _TUNINGS.validate_json(path.read_bytes()) if path.is_file() else {}  # opening a pipe would wait forever
    except (OSError, ValidationError):
        return {}
