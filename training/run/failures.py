"""Turn failures of the machine (memory, worker processes) into errors with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from report_gen.errors import ReportGenError, ResourceError, is_out_of_memory

from ..recipe import StageRecipe

_WORKER_DIED = "DataLoader worker"
_RAISED_IN_WORKER = "Caught "


@contextmanager
def explain_failures(stage: StageRecipe) -> Iterator[None]:
    """Turn torch's exceptions about memory and worker processes into errors that name the remedy.

    Raises:
        ResourceError: Memory ran out, or a process that makes batches died.
        ReportGenError: An error raised in such a process, without its traceback.
    """
    try:
        yield
    except MemoryError as error:
        raise _out_of_memory(stage) from error
    except ReportGenError as error:
        if not str(error).startswith(_RAISED_IN_WORKER):
            raise
        raise type(error)(_last_line(error)) from error
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise _out_of_memory(stage) from error
        if str(error).startswith(_WORKER_DIED):
            raise ResourceError(
                f"stage {stage.name!r}: a process that makes batches died, most likely because memory ran out; "
                "continue with --resume --set workers=0"
            ) from error
        if str(error).startswith(_RAISED_IN_WORKER) and "report_gen.errors." in str(error):
            raise ReportGenError(_last_line(error)) from error
        raise


def _out_of_memory(stage: StageRecipe) -> ResourceError:
    problem = f"stage {stage.name!r}: out of memory with batch_size = {stage.batch_size}"
    if stage.batch_size == 1:
        return ResourceError(f"{problem}; train a smaller model, or use a larger machine")
    smaller = -(-stage.batch_size // 2)
    return ResourceError(
        f"{problem}; batch_size = {smaller} with accumulate = {2 * stage.accumulate} needs about half the memory for "
        "a step of the same size"
    )


def _last_line(error: Exception) -> str:
    """Return the original message, without the traceback that a DataLoader adds."""
    return str(error).rstrip().rsplit("\n", 1)[-1].partition(": ")[2]
