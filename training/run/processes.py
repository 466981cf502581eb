"""The processes of a run, and what they tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object

T = TypeVar("T")


class Processes:
    """The processes that train one model together; every method is called by all of them at once."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    @property
    def rank(self) -> int:
        return int(self._accelerator.process_index)

    @property
    def count(self) -> int:
        return int(self._accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes."""
        return bool(self._accelerator.is_main_process)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """The numbers added up over all processes."""
        if self.count == 1:
            return list(numbers)
        total: torch.Tensor = self._accelerator.reduce(
            torch.tensor(numbers, dtype=torch.float64, device=self._accelerator.device), "sum"
        )
        return total.tolist()

    def gather(self, items: Sequence[T]) -> list[T]:
        """The items of all processes, rank by rank."""
        return list(items) if self.count == 1 else gather_object(list(items))

    def wait(self) -> None:
        """Return when all processes have come here."""
        self._accelerator.wait_for_everyone()

    def agree(self, value: T) -> T:
        """The value that the main process has."""
        return value if self.count == 1 else broadcast_object_list([value])[0]
