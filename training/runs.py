"""The run folder: the recipe, a log, `last/` to go on from and `best/`, the checkpoint."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pydantic
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from report_gen.errors import OutputError, UsageError
from report_gen.model import ReportModel
from report_gen.tokenizer import ReportTokenizer
from report_gen.writing import write_atomically, write_folder

from .recipe import Recipe

RECIPE, LOG, TOKENIZER, LAST, BEST = "recipe.json", "log.jsonl", "tokenizer.model", "last", "best"
_STATE, _WEIGHTS, _BEST_WEIGHTS, _OPTIMIZER = "state.json", "model.safetensors", "best.safetensors", "optimizer.pt"


@dataclass(frozen=True)
class Position:
    """How far a run has come."""

    stage: int = 0
    step: int = 0
    """Steps done in the stage."""
    best_loss: float = float("inf")
    """Lowest validation loss of the stage."""
    stale: int = 0
    """Validations since then."""


@dataclass(frozen=True)
class Run:
    """One training run on disk."""

    folder: Path

    @classmethod
    def start(cls, folder: Path, recipe: Recipe, *, resume: bool) -> Run:
        """A new run, or the one that lies there.

        Raises:
            UsageError: a run lies there and is not to be resumed, or has another recipe.
        """
        written = folder / RECIPE
        if resume:
            if not written.is_file():
                raise UsageError(f"{folder}: no run to resume here; leave --resume out to start one")
            if _read_recipe(written) != recipe:
                raise UsageError(
                    f"{written}: the run was started with another recipe; resume with that, or choose --output"
                )
        elif written.exists():
            raise UsageError(f"{folder}: holds a run already; continue it with --resume, or choose another --output")
        else:
            write_atomically(written, recipe.model_dump_json(indent=2) + "\n")
        return cls(folder)

    def keep_tokenizer(self, tokenizer: ReportTokenizer) -> None:
        write_atomically(self.folder / TOKENIZER, tokenizer.to_bytes())

    def kept_tokenizer(self) -> ReportTokenizer | None:
        """The vocabulary of the run, once it was learned."""
        path = self.folder / TOKENIZER
        return ReportTokenizer.from_file(path) if path.exists() else None

    def log(self, **record: Any) -> None:
        """Append one line to the log."""
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise OutputError(f"{self.folder / LOG}: cannot be written ({error.strerror}); free some space") from error

    def save(
        self,
        position: Position,
        model: ReportModel,
        best: dict[str, torch.Tensor] | None = None,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        """Write `last/` whole under another name, then rename it."""
        contents = {_STATE: json.dumps(asdict(position)).encode(), _WEIGHTS: save(snapshot(model))}
        if best is not None:
            contents[_BEST_WEIGHTS] = save(best)
        if optimizer is not None:
            buffer = io.BytesIO()
            torch.save(optimizer.state_dict(), buffer)
            contents[_OPTIMIZER] = buffer.getvalue()
        write_folder(self.folder / LAST, contents)

    def position(self) -> Position:
        """Where the run stopped, or its beginning."""
        path = self.folder / LAST / _STATE
        try:
            return Position(**json.loads(path.read_bytes())) if path.exists() else Position()
        except (ValueError, TypeError) as error:
            raise _damaged(path) from error

    def restore(self, model: ReportModel) -> dict[str, torch.Tensor] | None:
        """Fill the model as it was, and give the best weights of the stage so far."""
        last = self.folder / LAST
        if not (last / _WEIGHTS).exists():
            return None
        model.load_state_dict(_load(last / _WEIGHTS))
        return _load(last / _BEST_WEIGHTS) if (last / _BEST_WEIGHTS).exists() else None

    def restore_optimizer(self, optimizer: torch.optim.Optimizer, position: Position) -> None:
        """Fill the optimiser as it was at a position inside a stage."""
        path = self.folder / LAST / _OPTIMIZER
        if not position.step or not path.exists():
            return
        try:
            optimizer.load_state_dict(torch.load(path, weights_only=True))
        except (UnpicklingError, EOFError, RuntimeError, ValueError) as error:
            raise _damaged(path) from error


def snapshot(model: ReportModel) -> dict[str, torch.Tensor]:
    """A copy of all weights."""
    return {name: tensor.detach().clone().cpu() for name, tensor in model.state_dict().items()}


def _read_recipe(path: Path) -> Recipe:
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise _damaged(path) from error


def _load(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load(path.read_bytes())
    except SafetensorError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path}: damaged, or of another version; start the run anew with another --output")
