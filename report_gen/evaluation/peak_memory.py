"""Measure the largest memory that a block of work needs, on the computer and on CUDA devices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import torch

_SECONDS = 0.1
"""Time between two samples."""


@dataclass
class PeakMemory:
    """Largest memory since the measurement began, bytes. The values are final when its context ends."""

    before: int = 0
    """Resident memory when the measurement began."""
    resident: int = 0
    """Resident memory of this process and its children, summed; memory that they share counts more than once."""
    gpu: int | None = None
    """Memory of tensors of PyTorch in this process, summed over all CUDA devices; None without CUDA."""

    @property
    def added(self) -> int:
        """Resident memory that was added since the measurement began."""
        return self.resident - self.before

    def sample(self) -> None:
        """Measure the memory now."""
        here, resident = psutil.Process(), 0
        for process in (here, *here.children(recursive=True)):
            with suppress(psutil.Error):  # it has ended
                resident += process.memory_info().rss
        self.resident = max(self.resident, resident)


@contextmanager
def measure_memory() -> Iterator[PeakMemory]:
    """Measure the memory within the context, ten times per second."""
    peak, done = PeakMemory(), threading.Event()

    def watch() -> None:
        while not done.wait(_SECONDS):
            peak.sample()

    devices = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    for device in devices:
        torch.cuda.reset_peak_memory_stats(device)
    peak.sample()
    peak.before = peak.resident
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak.sample()
        if devices:
            peak.gpu = sum(torch.cuda.max_memory_allocated(device) for device in devices)
