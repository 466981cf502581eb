"""Write the checkpoint of a fine-tuned model: the adapter in the format of PEFT, and the description that loads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save

from report_gen import __version__
from report_gen.backends import FOLDER_DESCRIPTION, Adapter, BackendDescription, ChatPrompt
from report_gen.files import write_folder
from report_gen.records import BANNER
from report_gen.toml_files import format_toml

from ..recipe import TuningRecipe
from ..run import Validation
from .adapters import peft_weights
from .tunable_model import TunableModel, model_location

_PROMPT = "prompt.toml"
_LONGEST_NAME, _LONGEST_NOTICE = 200, 1000
"""Longest texts of a description, characters."""
_TUNED = "fine-tuned with report-gen and not validated clinically"


def write_adapter_checkpoint(
    folder: Path,
    recipe: TuningRecipe,
    model: TunableModel,
    *,
    counts: Mapping[str, Mapping[str, int]],
    validation: Validation | None,
) -> None:
    """Write a checkpoint, completely or not at all.

    Args:
        folder: The checkpoint folder.
        recipe: The recipe.
        model: Model with the best adapter.
        counts: Number of studies by corpus and split.
        validation: Validation of the adapter, if it is known.

    Raises:
        OutputError: The folder cannot be written.
    """
    # The names of an adapter of PEFT and the order of the two files in its digest, see `adapter_digest`.
    adapter = {
        "adapter_config.json": _adapter_config(model),
        "adapter_model.safetensors": save(peft_weights(model.network), metadata={"format": "pt"}),
    }
    sha256 = hashlib.sha256(b"".join(adapter.values())).hexdigest()
    description = describe_tuned(recipe, model, sha256).model_dump(mode="json", exclude_none=True)
    contents = {
        **adapter,
        FOLDER_DESCRIPTION: format_toml(description).encode(),
        _PROMPT: _format_prompt(model.description.prompt).encode(),
    }
    info = model.backend.info
    training = {
        "program_version": __version__,
        "recipe": recipe.model_dump(mode="json"),
        "studies": counts,
        "base": {"model": info.model, "revision": info.revision, "sha256": info.weights_sha256},
        "validation": None if validation is None else {"step": validation.step, "scores": dict(validation.scores)},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
    }
    contents["training.json"] = json.dumps(training, indent=2).encode() + b"\n"
    contents["README.md"] = _card(recipe, model, counts).encode()
    write_folder(folder, contents)


def describe_tuned(recipe: TuningRecipe, model: TunableModel, sha256: str) -> BackendDescription:
    """Return the description of the fine-tuned model.

    Args:
        recipe: The recipe.
        model: The model.
        sha256: SHA-256 of the adapter.
    """
    settings, info = model.description.settings, model.backend.info
    notice = "; ".join(filter(None, [settings.notice, _TUNED]))
    return settings.model_copy(
        update={
            "name": f"{settings.name}, fine-tuned: {recipe.name}"[:_LONGEST_NAME],
            "model": model_location(model.description),
            "revision": info.revision,
            "notice": notice if len(notice) <= _LONGEST_NOTICE else _TUNED,
            "prompt": _PROMPT,
            "decoding": settings.decoding.model_copy(update={"max_tokens": recipe.text.max_report_tokens}),
            "adapter": Adapter(folder=".", sha256=sha256, base_sha256=info.weights_sha256),
        }
    )


def _adapter_config(model: TunableModel) -> bytes:
    """Return adapter_config.json as peft writes it."""
    config = copy(model.lora)
    config.inference_mode = True
    with TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return (Path(folder) / "adapter_config.json").read_bytes()


def _format_prompt(prompt: ChatPrompt) -> str:
    """Return the prompt as a file: the adapter was trained with it, and that of the package may change."""
    return format_toml(
        {
            "system": prompt.system.text,
            "user": prompt.user.text,
            "example": [{"user": user, "assistant": assistant} for user, assistant in prompt.examples],
        }
    )


def _card(recipe: TuningRecipe, model: TunableModel, counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the model card, Markdown."""
    info, settings = model.backend.info, model.description.settings
    rows = [f"| {name} | {splits['train']} | {splits['val']} |" for name, splits in counts.items()]
    revision = f", revision {info.revision}" if info.revision else ""
    return "\n\n".join(
        (
            "---\nlibrary_name: peft\npipeline_tag: image-text-to-text\ntags: [radiology, research-use]\n---",
            f"# {recipe.name}",
            f"**{BANNER}.** Research use only; not a medical device. The model was not validated clinically.",
            *filter(None, [recipe.card.strip()]),
            f"A low-rank adapter (PEFT, rank {recipe.lora.rank}) for {info.model}{revision}, whose weights have the "
            f"SHA-256 {info.weights_sha256}. Trained parts: {', '.join(recipe.lora.parts)}. "
            f"License of the weights of the base: {settings.license or 'see there'}.",
            "## Training data",
            "\n".join(["| corpus | training studies | validation studies |", "|---|---|---|", *rows]),
            "The recipe is in `training.json`. Validation studies selected the adapter. The weights may "
            "reproduce parts of training reports: share them only as the corpus may be shared.",
            "## Use\n\n    report-gen draft STUDY --checkpoint FOLDER\n",
        )
    )
