"""Find checkpoints and read their configuration, without torch and without reading the weights."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pydantic

from report_gen.config import ModelConfig
from report_gen.errors import CheckpointError, describe_missing, name_path
from report_gen.labeling.phrases import check_vocabulary
from report_gen.model.checkpoint_files import CARD, CONFIG, MANIFEST, parse_json, read_file
from report_gen.model.migration import migrate_config, schema_version

EMBEDDED = Path(__file__).parents[1] / "pretrained" / "chest_xray"
"""The checkpoint of the package for chest radiographs, which is the default."""

RUN_CHECKPOINT = "best"
"""Checkpoint in the folder of a training run."""


def read_config(folder: str | os.PathLike[str] | None = None) -> ModelConfig:
    """Read the configuration of a checkpoint. Its files are not compared with the manifest.

    Args:
        folder: As in `find_checkpoint`.

    Raises:
        CheckpointError: There is no checkpoint, or its configuration is not valid.
    """
    path = find_checkpoint(folder) / CONFIG
    return parse_config(path, read_file(path))


def embedded_checkpoints() -> dict[str, Path]:
    """Return the folders of the checkpoints of the package by their names, the default one first."""
    others = sorted(path.parent for path in EMBEDDED.parent.glob(f"*/{CONFIG}"))
    return {path.name: path for path in (EMBEDDED, *others)}


def find_checkpoint(folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of a checkpoint.

    Args:
        folder: The checkpoint folder, or the folder of a training run, which contains it as `best`, or the name of an
            embedded checkpoint if there is no such folder. None: the embedded checkpoint for chest radiographs.

    Raises:
        CheckpointError: There is no such folder.
    """
    path = EMBEDDED if folder is None else Path(folder)
    try:
        if not (path / CONFIG).exists() and (path / RUN_CHECKPOINT / CONFIG).exists():
            path = path / RUN_CHECKPOINT
        is_folder = path.is_dir()
        if not is_folder and str(folder) in (embedded := embedded_checkpoints()):
            return embedded[str(folder)]
    except OSError as error:  # for example a name that is too long, or a folder above it that may not be read
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); give another checkpoint folder") from error
    if not is_folder:
        named = ", ".join(embedded_checkpoints())
        reason = f"no such checkpoint folder; give the folder that contains {CONFIG}, or an embedded model: {named}"
        raise CheckpointError(f"{name_path(path)}: {describe_missing(path, reason)}")
    return path


def manifest_digest(folder: str | os.PathLike[str] | None = None) -> str:
    """Return the SHA-256 of the manifest of a checkpoint, which identifies the content of its files.

    Args:
        folder: As in `find_checkpoint`.

    Raises:
        CheckpointError: There is no checkpoint, or no manifest.
    """
    return hashlib.sha256(read_file(find_checkpoint(folder) / MANIFEST)).hexdigest()


def read_model_card(folder: str | os.PathLike[str] | None = None) -> str:
    """Return the model card of a checkpoint, Markdown; "" if it has none. The manifest does not cover it.

    Args:
        folder: As in `find_checkpoint`.

    Raises:
        CheckpointError: There is no checkpoint, or its model card cannot be read.
    """
    path = find_checkpoint(folder) / CARD
    return read_file(path).decode(errors="replace") if path.exists() else ""


def parse_config(path: Path, content: bytes) -> ModelConfig:
    """Return the configuration in the content of a `config.json`, migrated to the current schema version.

    Raises:
        CheckpointError: The content is no configuration, asks for more than a network, or is of an unknown version.
    """
    parsed = parse_json(path, content)
    if damage := _find_damage(parsed):
        raise _damaged(path, damage)
    try:
        config = ModelConfig.model_validate_json(json.dumps(migrate_config(parsed)))
        check_vocabulary(config.finding_schema)  # which another release may lack
        return config
    except (AttributeError, RecursionError, TypeError, ValueError, re.error) as error:
        if not isinstance(error, pydantic.ValidationError):
            raise CheckpointError(f"{path}: {error}; install the release that wrote the checkpoint") from error
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))[:300]
        if fault["type"] == "missing":
            raise _damaged(path, f"has no {key!r}") from error
        where = f"{key}: " if key else ""
        # The remedy in a message is for the author of a recipe: the manifest forbids edits of a checkpoint.
        message = fault["msg"].removeprefix("Value error, ").partition("; ")[0]
        raise CheckpointError(
            f"{path}: {where}{message}; use another checkpoint, or the release that wrote it"
        ) from error


def _damaged(path: Path, damage: str) -> CheckpointError:
    """Return the error of a `config.json` that no release wrote."""
    return CheckpointError(
        f"{path}: {damage}, so the file is damaged or was not written by report-gen; copy the checkpoint again, or "
        "give another folder"
    )


def _find_damage(parsed: object) -> str:
    """Return what shows that no release wrote the content of a `config.json`; "" if nothing does."""
    if not isinstance(parsed, dict):
        return "is not a JSON object"
    version = schema_version(parsed)
    if version is None:
        return "has no 'schema_version'"
    if type(version) is not int or version < 1:
        return f"'schema_version' is {json.dumps(version)[:100]}, not a number from 1"
    return ""
