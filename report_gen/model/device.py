"""Choose the device and the floating-point type that a model runs with."""

from __future__ import annotations

import torch

from report_gen.errors import ResourceError, UsageError, is_out_of_memory

INT8 = "int8"
"""Name of float32 with 8-bit weights in the linear layers of the decoder, see `int8_linear.py`. For the CPU only."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, INT8: torch.float32}


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device of that name.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. `auto` takes the first of CUDA, MPS and CPU that is available.

    Raises:
        UsageError: The name is unknown, or this machine has no such device.
    """
    available = _available_devices()
    if name == "auto":
        return torch.device(available[-1].partition(":")[0])
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device {str(name)!r} is not known; choose auto, {', '.join(available)}") from error
    if str(device) not in available and not (
        device.index is None and any(a.startswith(f"{device}:") for a in available)
    ):
        raise UsageError(f"device {str(name)!r} is not available on this machine; choose auto, {', '.join(available)}")
    return device


def resolve_dtype(name: str | torch.dtype, device: torch.device) -> torch.dtype:
    """Return the floating-point type of that name.

    Args:
        name: `auto`, `float32`, `bfloat16` or `int8`. `auto` is bfloat16 on CUDA devices that support it, otherwise
            float32. `int8` is float32 here: `quantize_linear_layers` replaces the weights of the decoder.
        device: Device that the model runs on.

    Raises:
        UsageError: The name is unknown, the type is not a floating-point type, or it is `int8` and the device is not a
            CPU.
    """
    if isinstance(name, torch.dtype):
        if not name.is_floating_point:
            raise UsageError(f"dtype {name} is not a floating-point type; choose auto, {', '.join(_DTYPES)}")
        return name
    if name == "auto":
        supported = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if supported else torch.float32
    if name == INT8 and device.type != "cpu":
        raise UsageError(
            f"dtype int8 is for the CPU only, and the device is {device.type}; choose auto or another dtype"
        )
    if name not in _DTYPES:
        raise UsageError(f"dtype {name!r} is not known; choose auto, {', '.join(_DTYPES)}")
    return _DTYPES[name]


def check_memory(error: BaseException, what: str) -> None:
    """Raise ResourceError if an error means that the memory of the computer or of a GPU is exhausted.

    Args:
        error: The error that a library raised.
        what: What was built or loaded.
    """
    if is_out_of_memory(error):
        raise ResourceError(f"not enough memory for {what}; use a smaller model, or free memory") from error


def _available_devices() -> list[str]:
    """Return the names of the devices of this machine, the CPU first and the preferred one last."""
    devices = ["cpu"]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices + [f"cuda:{index}" for index in reversed(range(torch.cuda.device_count()))]
