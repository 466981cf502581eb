"""The processes of a run and their communication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

T = TypeVar("T")


class Processes:
    """The processes that train one model together. Every method must be called by all of them at the same point."""

    # accelerate is imported where it is used: processes that decode images import this package without it.

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    @property
    def rank(self) -> int:
        """Index of this process."""
        return int(self._accelerator.process_index)

    @property
    def count(self) -> int:
        """Number of processes."""
        return int(self._accelerator.num_processes)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files of the run."""
        return bool(self._accelerator.is_main_process)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Return the element-wise sum of the numbers over all processes."""
        if self.count == 1:
            return list(numbers)
        total: torch.Tensor = self._accelerator.reduce(
            torch.tensor(numbers, dtype=torch.float64, device=self._accelerator.device), "sum"
        )
        return total.tolist()

    def gather(self, items: Sequence[T]) -> list[T]:
        """Return the items of all processes in the order of their ranks."""
        from accelerate.utils import gather_object

        return list(items) if self.count == 1 else gather_object(list(items))

    def wait(self) -> None:
        """Wait until all processes have called this method."""
        self._accelerator.wait_for_everyone()

    def broadcast(self, value: T) -> T:
        """Return the value of the main process."""
        from accelerate.utils import broadcast_object_list

        return value if self.count == 1 else broadcast_object_list([value])[0]
