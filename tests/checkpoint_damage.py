"""Change a checkpoint folder and write a manifest that agrees with the changes, as an attacker would."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from report_gen.model.checkpoint import SEALED
from report_gen.model.checkpoint_files import CONFIG, MANIFEST, TOKENIZER, WEIGHTS
from report_gen.tokenizer import TOKENIZER_FILES

SEALED_FILES = (*SEALED, TOKENIZER)
"""Files in the manifest of a checkpoint with a learned tokenizer."""

EXTRA_BYTES = 600 * 2**20
"""Address space that refusing a checkpoint may take, bytes."""
CPU_SECONDS = 10.0
"""CPU time that refusing a checkpoint may take, seconds; each takes less than one."""


def reseal(folder: Path) -> None:
    """Write a manifest that agrees with the files, so that only their contents are wrong."""
    names = (*SEALED, *(name for name in TOKENIZER_FILES if (folder / name).exists()))
    manifest = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / CONFIG).read_bytes())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    reseal(folder)


def edit_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], object], *, metadata: dict[str, str] | None = None
) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata=metadata)
    reseal(folder)


@contextmanager
def little_memory() -> Iterator[None]:
    """Limit the address space of this process, and check the CPU time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + EXTRA_BYTES, hard))
    before = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - before < CPU_SECONDS
