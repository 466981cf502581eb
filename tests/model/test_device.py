"""Devices and floating-point types by name."""

from __future__ import annotations

import pytest
import torch

from report_gen.errors import UsageError
from report_gen.model import resolve_device, resolve_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without accelerators."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


def test_auto_prefers_cuda_over_mps_over_the_cpu(machine: pytest.MonkeyPatch) -> None:
    assert resolve_device() == resolve_device("cpu") == CPU
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == resolve_device("mps") == torch.device("mps")
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == CUDA
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device("cpu") == resolve_device(CPU) == CPU


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda", r"'cuda' is not available on this machine; choose auto, cpu$"),
        ("cuda:0", r"'cuda:0' is not available on this machine; choose auto, cpu$"),
        ("mps", r"'mps' is not available on this machine"),
        ("gpu", r"'gpu' is not known; choose auto, cpu$"),
    ],
)
def test_missing_devices_are_refused_with_the_available_ones(
    machine: pytest.MonkeyPatch, name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_device(name)


def test_a_gpu_number_too_high_is_refused(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        UsageError, match=r"'cuda:2' is not available on this machine; choose auto, cpu, cuda:1, cuda:0"
    ):
        resolve_device("cuda:2")


def test_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_dtype("auto", CPU) == resolve_dtype("float32", CPU) == torch.float32
    assert resolve_dtype("bfloat16", CPU) == resolve_dtype(torch.bfloat16, CPU) == torch.bfloat16
    for supported, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, is_so=supported: is_so)
        assert resolve_dtype("auto", CUDA) == expected
    with pytest.raises(UsageError, match=r"'float16' is not known; choose auto, float32, bfloat16, int8"):
        resolve_dtype("float16", CPU)
