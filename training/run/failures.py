"""Machines that give out in the middle of a run, told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from report_gen.errors import ReportGenError, ResourceError

from ..recipe.schema import StageRecipe

_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "cannot allocate memory")
_WORKER_GONE = "DataLoader worker"
_IN_WORKER = "Caught "


@contextmanager
def explaining_failures(stage: StageRecipe) -> Iterator[None]:
    """Turn what torch raises of memory and of processes that make batches into an error that names the remedy.

    Raises:
        ResourceError: memory is exhausted, or a process that makes batches died.
        ReportGenError: the error of such a process, without its trace.
    """
    try:
        yield
    except MemoryError as error:
        raise _out_of_memory(stage) from error
    except ReportGenError as error:
        if not str(error).startswith(_IN_WORKER):
            raise
        raise type(error)(_last_line(error)) from error
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
            raise _out_of_memory(stage) from error
        if str(error).startswith(_WORKER_GONE):
            raise ResourceError(
                f"stage {stage.name!r}: a process that makes batches died, most likely for want of memory; "
                "go on with --resume --set workers=0"
            ) from error
        if str(error).startswith(_IN_WORKER) and "report_gen.errors." in str(error):
            raise ReportGenError(_last_line(error)) from error
        raise


def _out_of_memory(stage: StageRecipe) -> ResourceError:
    full = f"stage {stage.name!r}: out of memory with batch_size = {stage.batch_size}"
    if stage.batch_size == 1:
        return ResourceError(f"{full}; train a smaller model, or on a larger machine")
    smaller = -(-stage.batch_size // 2)
    return ResourceError(
        f"{full}; batch_size = {smaller} with accumulate = {2 * stage.accumulate} takes about half the memory for a "
        "step as large"
    )


def _last_line(error: Exception) -> str:
    """The error itself, from under the trace that a DataLoader puts around it."""
    return str(error).rstrip().rsplit("\n", 1)[-1].partition(": ")[2]
