"""Draft studies on the nodes of a Ray cluster. The drafts are rows of Parquet files.

Ray repeats the work of a node that is lost. `CheckpointConfig` records which studies have been written, so that a batch
that was stopped continues, and every study has one row.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from report_gen.batch.records import BatchSettings, StudyTask
from report_gen.errors import ReportGenError, ResourceError, UsageError
from report_gen.files import write_atomically
from report_gen.outputs.journal import JOURNAL
from report_gen.terminal import kept_handlers

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

RAY_STATE = ".ray"
"""Hidden folder beside the Parquet files: which request they answer, and which studies have been written."""
_REQUEST, _WRITTEN = "request", "written"
_ROWS = 64
"""Largest number of studies that are written together, unless the batch size is larger. If a node is lost, at most so
many are drafted again for each of its processes."""
_BLOCKS_PER_WORKER = 4
_CONNECT_SECONDS = 10
"""How long a cluster may take to accept a connection. Ray itself tries for minutes before it ends the process."""


@dataclass(frozen=True, kw_only=True)
class RayResult:
    """What became of the studies of a batch."""

    complete: int
    """Studies that were drafted now, without those that were drafted before."""
    refused: tuple[ReportGenError, ...]
    """The error of each study of the folder that has no complete draft."""


def draft_on_ray(
    settings: BatchSettings,
    tasks: Sequence[StudyTask],
    folder: Path,
    *,
    request: str,
    workers: int,
    resume: bool,
    on_start: Callable[[int], None],
) -> RayResult:
    """Draft studies in processes of a Ray cluster, and write a row for each to Parquet files.

    The cluster is that to which this process is connected, else that of the variable RAY_ADDRESS or of this computer,
    else one that is started here. Every node must find the images, the checkpoints and the folder under their paths.

    Args:
        settings: What the drafts have in common.
        tasks: The studies.
        folder: Folder of the Parquet files.
        request: Digest of what determines the drafts beside the images.
        workers: Largest number of processes that draft, each on a processor of its own; 0 for one on each processor.
        resume: Continue in a folder that has drafts: leave out the studies that it has.
        on_start: Called before the first study is drafted, with the number of studies that were drafted before.

    Raises:
        UsageError: Ray is not installed, or the folder has drafts and `resume` is False or they answer another request,
            or the folder has files of another engine or program.
        ReportGenError: The error is not that of a study, such as a checkpoint that cannot be loaded.
        ResourceError: No cluster answers, or Ray has failed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # only `send` uses the network
    try:
        import ray
        from ray.exceptions import RayError

        from report_gen.batch.ray_drafting import data_context, remaining_studies, write_drafts
    except ImportError as error:
        raise UsageError("--engine ray needs Ray; install it with: pip install 'report-gen[ray]'") from error
    _check_folder(folder, request, resume=resume)
    if not ray.is_initialized():
        _connect()
    write_atomically(folder / RAY_STATE / _REQUEST, request)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = data_context(folder / RAY_STATE / _WRITTEN)
    try:
        remaining = remaining_studies(tasks, folder, context)
        refused_before = len(list(read_refused(folder)))  # files of other programs are found before the work of hours
        on_start(len(tasks) - len(remaining))
        workers = workers or int(ray.cluster_resources().get("CPU", 1))
        rows = max(settings.batch_size, min(_ROWS, len(remaining) // (workers * _BLOCKS_PER_WORKER)))
        if remaining:
            with ray.data.DataContext.current(context):
                write_drafts(remaining, folder, settings, workers=workers, rows=rows)
    except RayError as error:
        raise _own_error(error) from error
    refused = tuple(read_refused(folder))
    return RayResult(complete=len(remaining) - (len(refused) - refused_before), refused=refused)


def read_refused(folder: Path) -> Iterator[ReportGenError]:
    """Yield the error of each study of a folder that has no complete draft."""
    rows = _read_rows(folder)
    if rows is None:
        return
    import pyarrow.dataset as parquet

    for batch in rows.to_batches(columns=["error", "exit_code"], filter=parquet.field("exit_code") != 0):
        for message, code in zip(batch["error"].to_pylist(), batch["exit_code"].to_pylist(), strict=True):
            error = ReportGenError(message)
            error.exit_code = code
            yield error


def _read_rows(folder: Path) -> Dataset | None:
    """Return the rows of the Parquet files of a folder; None if there are none.

    Raises:
        UsageError: A file is not a table of drafts.
    """
    paths = sorted(folder.glob("*.parquet"))
    if not paths:
        return None
    import pyarrow as pa
    import pyarrow.dataset as parquet
    from pyarrow.parquet import read_schema

    for path in paths:
        try:
            is_ours = {"id", "study", "error", "exit_code"} <= set(read_schema(path).names)
        except (OSError, pa.ArrowException):
            is_ours = False
        if not is_ours:
            raise UsageError(f"{path}: is not a table of drafts; move it to another folder, and continue with --resume")
    return parquet.dataset([str(path) for path in paths], format="parquet")


def _check_folder(folder: Path, request: str, *, resume: bool) -> None:
    """Refuse a folder with Parquet files that must not be mixed with those of this request."""
    path = folder / RAY_STATE / _REQUEST
    if not path.exists():
        if any(folder.glob("*.parquet")):
            raise UsageError(f"{folder}: has Parquet files of another program; choose another folder")
        if (folder / JOURNAL).exists():
            raise UsageError(f"{folder}: has drafts that were written without --engine ray; choose another folder")
    elif not resume:
        raise UsageError(f"{folder}: has drafts of --engine ray; continue with --resume, or choose another folder")
    elif not path.is_file() or path.read_bytes() != request.encode():
        raise UsageError(f"{folder}: has drafts of other options or of another release; choose another folder")


def _connect() -> None:
    """Connect to the cluster of RAY_ADDRESS or of this computer, or start one.

    Raises:
        UsageError: The command line has a name that Ray does not take.
        ResourceError: No cluster answers.
    """
    import ray

    address = os.environ.get("RAY_ADDRESS")
    try:
        if address is not None and (port := urlsplit(f"//{address}").port) is not None:
            with socket.create_connection((urlsplit(f"//{address}").hostname, port), timeout=_CONNECT_SECONDS):
                pass
        with kept_handlers():  # after those of Ray, SIGTERM would end the command with the exit code 15
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except UnicodeEncodeError as error:  # Ray records the command line
        raise UsageError(
            "Ray takes no command line with a name that is not UTF-8; rename the file, or name a folder above it"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        if address is None:
            raise ResourceError(f"Ray does not start on this computer ({error}); see its logs") from error
        raise ResourceError(
            f"no Ray cluster answers at {address}, the value of RAY_ADDRESS; correct it, or unset it"
        ) from error


def _own_error(error: BaseException) -> ReportGenError:
    """Return the error of report-gen that made Ray fail, or one that says that Ray failed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ReportGenError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return ResourceError(f"Ray failed ({type(error).__name__}); see its logs, and continue with --resume")
