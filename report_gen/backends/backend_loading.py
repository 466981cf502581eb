"""Load the backend that a description names. Each backend is imported only when it is needed."""

from __future__ import annotations

from dataclasses import replace

from report_gen.arguments import DtypeName
from report_gen.backends.description import ModelDescription
from report_gen.backends.interface import Backend
from report_gen.errors import UsageError


def load_backend(
    description: ModelDescription, *, device: str = "auto", dtype: DtypeName = "auto", allow_remote: bool = False
) -> Backend:
    """Load the model of a description, or set up the connection to its server.

    Args:
        description: The description.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: `auto` for that of the description, `float32` or `bfloat16`.
        allow_remote: Whether images may be sent to another computer.

    Raises:
        CheckpointError: The model is missing, is of another class, needs code of its own, or cannot be loaded.
        UsageError: A value of the description or an argument does not fit the backend.
    """
    settings = description.settings
    if settings.backend == "endpoint":
        from report_gen.backends.endpoint import EndpointBackend

        if (device, dtype) != ("auto", "auto"):
            raise UsageError(f"{settings.name}: device and data type are those of the server; leave both out")
        return EndpointBackend(description, allow_remote=allow_remote)
    if dtype == "int8":
        raise UsageError(f'{settings.name}: int8 is for checkpoints of report-gen; set runtime.quantization = "8bit"')
    if dtype != "auto":
        runtime = settings.runtime.model_copy(update={"dtype": dtype})
        description = replace(description, settings=settings.model_copy(update={"runtime": runtime}))
    if settings.backend == "encoder-decoder":
        from report_gen.backends.encoder_decoder import EncoderDecoderBackend

        return EncoderDecoderBackend(description, device)
    from report_gen.backends.image_text import ImageTextBackend

    return ImageTextBackend(description, device)
