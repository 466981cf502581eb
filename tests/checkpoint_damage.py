"""Change a checkpoint folder and write a manifest that agrees with the changes, as an attacker would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from report_gen.model.checkpoint import SEALED
from report_gen.model.checkpoint_files import CONFIG, MANIFEST, WEIGHTS


def reseal(folder: Path) -> None:
    """Write a manifest that agrees with the files, so that only their contents are wrong."""
    manifest = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in SEALED}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / CONFIG).read_bytes())
    change(config)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    reseal(folder)


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    reseal(folder)
