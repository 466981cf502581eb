"""Find the model that a user names: a checkpoint of report-gen, or a model behind a backend. Nothing is loaded yet."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from report_gen.arguments import DtypeName
from report_gen.backends import (
    DESCRIPTION_SUFFIX,
    FOLDER_DESCRIPTION,
    ModelDescription,
    built_in_descriptions,
    describe_folder,
    describe_hub_model,
    load_description,
)
from report_gen.config import ScopeConfig
from report_gen.drafting.conditioning_inputs import check_overrides
from report_gen.drafting.request import refuse_overrides
from report_gen.errors import CheckpointError, UsageError
from report_gen.imaging.scope_choice import ModelScope
from report_gen.model import (
    RUN_CHECKPOINT,
    embedded_checkpoints,
    find_checkpoint,
    manifest_digest,
    read_config,
    read_model_card,
)
from report_gen.records import FindingLocation, FindingState

if TYPE_CHECKING:
    from report_gen.drafting.report_generator import ReportGenerator

HUB_PREFIX = "hf:"
"""Beginning of the name of a model of a hub, such as `hf:google/medgemma-1.5-4b-it`."""


class ModelSource(Protocol):
    """A model that is not loaded yet."""

    def scope(self) -> ModelScope:
        """Return the studies that the model was made for. Raises CheckpointError without a valid configuration."""
        ...

    def digest(self) -> str:
        """Return what identifies the model and its settings. Raises CheckpointError if it is not complete."""
        ...

    def model_card(self) -> str:
        """Return the model card, in Markdown; empty without one. Raises CheckpointError if it cannot be read."""
        ...

    def takes_base(self) -> bool:
        """Return whether the model is an adapter, whose base may be named."""
        ...

    def check_overrides(
        self,
        overrides: Mapping[str, FindingState],
        locations: Mapping[str, FindingLocation],
        attributes: Mapping[str, str],
    ) -> None:
        """Raise UsageError if the model does not know what the reader sets."""
        ...

    def load(
        self, *, base: str | None, device: str, dtype: DtypeName, allow_remote: bool, tuned: bool
    ) -> ReportGenerator[Any]:
        """Load the model.

        Args:
            base: Base of a checkpoint that is an adapter; None for the installed package that the checkpoint names.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            dtype: `auto`, `float32`, `bfloat16` or `int8`.
            allow_remote: Whether images may be sent to another computer.
            tuned: Whether a checkpoint gets the settings that `report-gen bench --tune` remembered, see `apply_tuning`.

        Raises:
            CheckpointError: The model cannot be loaded.
            UsageError: An argument does not fit the model.
        """
        ...


@dataclass(frozen=True)
class CheckpointSource:
    """A checkpoint of report-gen."""

    folder: Path

    def scope(self) -> ModelScope:
        """Return the studies that the model was made for."""
        config = read_config(self.folder)
        return ModelScope(config.scope, config.volumes is not None)

    def digest(self) -> str:
        """Return the SHA-256 of the manifest, which identifies the content of all files."""
        return manifest_digest(self.folder)

    def model_card(self) -> str:
        """Return the model card."""
        return read_model_card(self.folder)

    def takes_base(self) -> bool:
        """Return whether the checkpoint is an adapter."""
        return read_config(self.folder).adapter is not None

    def check_overrides(
        self,
        overrides: Mapping[str, FindingState],
        locations: Mapping[str, FindingLocation],
        attributes: Mapping[str, str],
    ) -> None:
        """Raise UsageError if the model does not know what the reader sets."""
        check_overrides(overrides, locations, attributes, read_config(self.folder))

    def load(
        self, *, base: str | None, device: str, dtype: DtypeName, allow_remote: bool, tuned: bool
    ) -> ReportGenerator[Any]:
        """Load the checkpoint. It sends no image anywhere."""
        # These modules import torch.
        from report_gen.drafting.checkpoint_generator import CheckpointGenerator
        from report_gen.drafting.tuned_settings import apply_tuning
        from report_gen.model import load_checkpoint, resolve_device

        if tuned:
            dtype = apply_tuning(self.folder, device=device, dtype=dtype)
        resolved = resolve_device(device)  # before the weights are read
        return CheckpointGenerator(load_checkpoint(self.folder, base=base), device=resolved, dtype=dtype)


@dataclass(frozen=True)
class DescribedSource:
    """A model behind a backend."""

    model: ModelDescription

    def scope(self) -> ModelScope:
        """Return the studies that the model was made for."""
        settings = self.model.settings
        return ModelScope(ScopeConfig(**settings.scope.model_dump()), settings.images.volumes is not None)

    def digest(self) -> str:
        """Return the SHA-256 of the description, which states that of an adapter. The weights are not read for it."""
        return self.model.digest

    def model_card(self) -> str:
        """Return the card of the adapter; empty without one, because that of the model is not on this computer."""
        adapter = self.model.settings.adapter
        return "" if adapter is None else read_model_card(self.model.folder / adapter.folder)

    def takes_base(self) -> bool:
        """Return whether the description names an adapter."""
        return self.model.settings.adapter is not None

    def check_overrides(
        self,
        overrides: Mapping[str, FindingState],
        locations: Mapping[str, FindingLocation],
        attributes: Mapping[str, str],
    ) -> None:
        """Raise UsageError if the reader sets anything: the model takes images and a prompt only."""
        refuse_overrides(self.model.settings.name, overrides, locations, attributes)

    def load(
        self, *, base: str | None, device: str, dtype: DtypeName, allow_remote: bool, tuned: bool
    ) -> ReportGenerator[Any]:
        """Load the model onto a device, or set up the connection to its server."""
        from report_gen.drafting.chat_generator import ChatGenerator  # imports torch

        model = self.model if base is None else self._with_base(base)
        return ChatGenerator.load(model, device=device, dtype=dtype, allow_remote=allow_remote)

    def _with_base(self, base: str) -> ModelDescription:
        """Return the description with another folder or hub name of the model that its adapter changes."""
        settings = self.model.settings
        if settings.adapter is None:
            raise UsageError(f"{settings.name}: a base is for adapters; leave it out")
        is_hub_name = base.startswith(HUB_PREFIX) or not Path(base).exists()
        location = base.removeprefix(HUB_PREFIX) if is_hub_name else str(Path(base).absolute())
        return replace(self.model, settings=settings.model_copy(update={"model": location, "revision": ""}))


def find_source(name: str | os.PathLike[str] | None = None) -> ModelSource:
    """Find a model by its name or path.

    Args:
        name: A checkpoint folder or the folder of a training run, the name of an embedded checkpoint, a description
            (a TOML file, or the name of one in the package), the folder of a model of transformers or of an adapter
            with a description, or `hf:` and the name of a model of a hub. None: the embedded checkpoint for chest
            radiographs.

    Raises:
        CheckpointError: There is no such model.
        UsageError: A description has a fault.
    """
    if name is None:
        return next(iter(embedded_sources().values()))
    text = os.fspath(name)
    if text.startswith(HUB_PREFIX):
        model = text.removeprefix(HUB_PREFIX)
        if not model.strip():
            raise UsageError(f"{HUB_PREFIX} is followed by no name; write it as hf:google/medgemma-1.5-4b-it")
        return DescribedSource(describe_hub_model(model))
    if text.endswith(DESCRIPTION_SUFFIX) or (text in built_in_descriptions() and not Path(text).exists()):
        return DescribedSource(load_description(name))
    try:
        folder = find_checkpoint(name)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; a description: {', '.join(built_in_descriptions())}; or hf:NAME") from error
    for described in (folder / FOLDER_DESCRIPTION, folder / RUN_CHECKPOINT / FOLDER_DESCRIPTION):
        if described.exists():
            return DescribedSource(load_description(described))
    model_type = _transformers_type(folder)
    return DescribedSource(describe_folder(folder, model_type)) if model_type else CheckpointSource(folder)


def embedded_sources() -> dict[str, ModelSource]:
    """Return the checkpoints of the package by their names, the default one first."""
    return {name: CheckpointSource(folder) for name, folder in embedded_checkpoints().items()}


def _transformers_type(folder: Path) -> str:
    """Return the type of a model of transformers in a folder; an empty text for another folder."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    found = config.get("model_type") if isinstance(config, dict) else None
    return found if isinstance(found, str) else ""
