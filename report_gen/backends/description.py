"""Read the description of a model behind a backend: a TOML file with model, prompt, input and decoding."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from report_gen.backends.chat_prompt import ChatPrompt, load_chat_prompt
from report_gen.config import DeclaredScope, FrozenModel, ShortText, VolumeConfig
from report_gen.errors import UsageError
from report_gen.generation import Decoding
from report_gen.imaging import check_scope
from report_gen.labeling import NO_FINDINGS, built_in_schemas, load_schema
from report_gen.records import FindingSchema
from report_gen.toml_files import describe_fault, parse_toml, read_toml_file

BackendName = Literal["image-text", "encoder-decoder", "endpoint"]
"""`image-text`: AutoModelForImageTextToText of transformers. `encoder-decoder`: its VisionEncoderDecoderModel.
`endpoint`: a server with the chat completions of the OpenAI API."""

DESCRIPTION_SUFFIX = ".toml"
FOLDER_DESCRIPTION = "description.toml"
"""Description in a folder with an adapter, such as `RUN/best` of a fine-tuned model."""
_DESCRIPTIONS = files(__package__) / "descriptions"


class ImageInput(FrozenModel):
    """How the images of a study are given to the model."""

    max_images: int = Field(default=4, ge=1, le=256)
    """Largest number of images of a request."""
    size: int = Field(default=1024, ge=28, le=8192)
    """Length of the longer side, pixels; larger images are reduced. The processor of the model resizes again."""
    volumes: VolumeConfig | None = None
    """How slices of CT and MR become images; with `windows`, each window is a color channel. None: volumes are
    refused."""


class DecodingDefaults(FrozenModel):
    """Decoding options of the model, which the user can override. The fields are those of `Decoding`."""

    method: Literal["greedy", "beam", "sample"] = "greedy"
    beams: int = Field(default=4, ge=1, le=64)
    temperature: float = Field(default=0.7, gt=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_tokens: int = Field(default=512, ge=1, le=65_536)
    candidates: int = Field(default=1, ge=1, le=64)

    def decoding(self) -> Decoding:
        """Return the decoding."""
        return Decoding(**self.model_dump())


class Runtime(FrozenModel):
    """How the weights are loaded. Endpoints do not use these settings."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Data type of the weights. `auto`: that of the checkpoint on a GPU, float32 on a CPU."""
    device_map: Literal["", "auto"] = ""
    """`auto` spreads the layers over the GPUs and the memory of the computer (accelerate). Empty: one device."""
    quantization: Literal["", "4bit", "8bit"] = ""
    """Quantization by bitsandbytes, which must be installed and needs a GPU."""


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Adapter(FrozenModel):
    """Low-rank adapter on the weights of a model, in the format of PEFT. It needs peft."""

    folder: Annotated[str, Field(min_length=1, max_length=1000)]
    """Folder with adapter_config.json and adapter_model.safetensors, relative to the description."""
    sha256: Sha256 | Literal[""] = ""
    """SHA-256 over adapter_config.json and adapter_model.safetensors, one after the other. Empty: not checked."""
    base_sha256: Sha256 | Literal[""] = ""
    """SHA-256 of the weights that the adapter was trained on, as drafts state it. Empty: not checked."""


def _check_model(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("is empty or has control characters; give a folder or a name of the hub")
    return name


def _check_name(name: str) -> str:
    if not name.strip():
        raise ValueError("is empty; drafts and tables name the model by it")
    return name


def _check_notice(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a line break or another control character; remove it")
    return text


class BackendDescription(FrozenModel):
    """A model, and how it is asked for a report."""

    name: Annotated[ShortText, AfterValidator(_check_name)]
    """Name of the model in drafts and tables."""
    backend: BackendName
    model: Annotated[str, Field(max_length=1000), AfterValidator(_check_model)]
    """Hub name such as `google/medgemma-1.5-4b-it`, a folder (relative to the description), or the name of the model at
    the endpoint."""
    revision: ShortText = ""
    """Branch, tag or commit at the hub. A commit makes drafts reproducible. Empty: the newest one."""
    url: Annotated[str, Field(max_length=2000)] = ""
    """Address of an endpoint up to `/v1`, such as `http://127.0.0.1:8000/v1`."""
    token_variable: ShortText = ""
    """Environment variable with the access token of an endpoint. Do not write the token itself here."""
    timeout: float = Field(default=120, gt=0, le=86_400)
    """Largest time for an answer of an endpoint, seconds."""
    concurrency: int = Field(default=1, ge=1, le=64)
    """Largest number of requests that an endpoint gets at the same time."""
    license: ShortText = ""
    """License of the weights, and what a user must accept to get them."""
    notice: Annotated[str, Field(max_length=1000), AfterValidator(_check_notice)] = ""
    """What every draft says about the model."""
    prompt: ShortText = "chest_xray_chat"
    """Built-in prompt or a prompt file (relative to the description), see `load_chat_prompt`."""
    findings: ShortText = "chest_xray"
    """Built-in schema of the findings that are read from the text, or a findings file (relative to the description);
    empty for none."""
    images: ImageInput = ImageInput()
    decoding: DecodingDefaults = DecodingDefaults()
    scope: DeclaredScope = DeclaredScope()
    """Studies that the model was made for. Others are refused, unless the user forces a draft."""
    runtime: Runtime = Runtime()
    adapter: Adapter | None = None
    """Adapter on the weights of the model. Not for endpoints."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.backend == "endpoint") != bool(self.url):
            raise ValueError('url and backend = "endpoint" belong together; give both or none')
        if self.token_variable and not self.url:
            raise ValueError("token_variable is for endpoints; log in to a hub with `hf auth login` instead")
        if self.adapter is not None and self.url:
            raise ValueError("adapter is not for endpoints, whose server loads the adapter; remove it")
        check_scope(self.scope)
        if self.images.max_images > self.scope.max_images:
            raise ValueError("images.max_images is above scope.max_images; raise scope.max_images")
        return self


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A description with the files that it names."""

    settings: BackendDescription
    prompt: ChatPrompt
    schema: FindingSchema
    """The findings that are read from the text."""
    folder: Path
    """Folder of the description, from which its paths are relative."""
    digest: str
    """SHA-256 of the description, its prompt, its findings, and the folder of its model. Two descriptions with the same
    text in two folders may mean two models."""


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder; False for what cannot be a path."""
    try:
        return path.is_dir()
    except OSError:  # no name that a file system could have
        return False


def built_in_descriptions() -> dict[str, Traversable]:
    """Return the description files of the package by their names."""
    found = {Path(one.name).stem: one for one in _DESCRIPTIONS.iterdir() if one.name.endswith(DESCRIPTION_SUFFIX)}
    return dict(sorted(found.items()))


def load_description(name_or_path: str | os.PathLike[str]) -> ModelDescription:
    """Load the description of a model.

    Args:
        name_or_path: A TOML file, or the name of a description of the package, such as `medgemma`.

    Raises:
        UsageError: The file or a file that it names cannot be read, or a value is wrong.
    """
    name, path = os.fspath(name_or_path), Path(name_or_path)
    if name in (built_in := built_in_descriptions()):
        return _load(parse_toml(built_in[name].read_text(encoding="utf-8"), name), name, Path())
    known = ", ".join(built_in)
    return _load(read_toml_file(path, "the description of a model", hint=f" or one of {known}"), name, path.parent)


def describe_hub_model(model: str) -> ModelDescription:
    """Return a description with defaults for a model of the hub, which must be an image-text model.

    Args:
        model: Name at the hub, such as `google/medgemma-1.5-4b-it`.
    """
    return _load({"name": model, "backend": "image-text", "model": model}, model, Path())


def describe_folder(folder: Path, model_type: str) -> ModelDescription:
    """Return the description of a model of transformers in a folder, with defaults.

    Args:
        folder: The folder.
        model_type: Type of the model in its configuration.
    """
    backend = "encoder-decoder" if model_type == "vision-encoder-decoder" else "image-text"
    name = folder.resolve().name[:200]
    return _load({"name": name, "backend": backend, "model": str(folder.resolve())}, str(folder), folder)


def _load(content: dict[str, Any], source: str, folder: Path) -> ModelDescription:
    try:
        settings = BackendDescription.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{source}: {describe_fault(error)}") from error
    prompt = load_chat_prompt(settings.prompt, folder)
    schema = _load_findings(settings.findings, folder)
    local = folder / settings.model
    place = str(local.resolve()) if not settings.url and is_folder(local) else ""
    identity = "\0".join((settings.model_dump_json(), repr(prompt), repr(schema), place))
    return ModelDescription(
        settings=settings,
        prompt=prompt,
        schema=schema,
        folder=folder,
        digest=hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest(),
    )


def _load_findings(name_or_path: str, folder: Path) -> FindingSchema:
    if not name_or_path:
        return load_schema(NO_FINDINGS)
    is_built_in = name_or_path == NO_FINDINGS or name_or_path in built_in_schemas()
    return load_schema(name_or_path if is_built_in else folder / name_or_path)
