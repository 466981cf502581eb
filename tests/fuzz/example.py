"""Inputs of the readers: a few small files, one of which is mutated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis.strategies import SearchStrategy

Files = Mapping[str, bytes]
"""Content by name relative to the folder of the example."""


def _unchanged(files: Files) -> Files:
    return files


@dataclass(frozen=True)
class Example:
    """The files of one input."""

    files: Files
    name: str
    """Name of the file that is mutated."""
    complete: Callable[[Files], Files] = _unchanged
    """What is done after the mutation so that a reader gets past its first check, such as compressing the file again or
    writing its hash into a manifest."""

    def with_content(self, content: bytes) -> Example:
        """Return the example with another content of the mutated file."""
        return replace(self, files={**self.files, self.name: content})

    def write(self, folder: Path) -> Path:
        """Write the files into an empty folder. Return the path of the mutated file."""
        for name, content in self.complete(self.files).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder / self.name


@dataclass(frozen=True)
class Target:
    """A reader, valid inputs for it, and how it is called."""

    name: str
    seeds: Callable[[], Sequence[Example]]
    """Returns small valid inputs; called once."""
    structured: Callable[[Sequence[Example]], SearchStrategy[Example]]
    """Returns the strategy of inputs that are mutated by their structure, not by their bytes."""
    read: Callable[[Path], object]
    """Reads the mutated file. The other files lie beside it."""
