"""Options of `report-gen draft` for many studies: worker processes and shards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from report_gen.errors import UsageError

if TYPE_CHECKING:
    from report_gen.imaging import Shard

_MAX_WORKERS = 1024

Workers = Annotated[
    int,
    typer.Option(
        min=0,
        max=_MAX_WORKERS,
        metavar="N",
        help="Draft in N processes with one thread each, for example one per core. A study that crashes or hangs its "
        "process is refused, and the others go on. SIGTERM finishes the studies in progress. 0: in this process.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Draft one of N parts of the studies; I counts from 0. The StudyInstanceUID, else the content of the "
        "files, decides which part a study belongs to.",
    ),
]

Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(
        help="ray: draft on the nodes of a Ray cluster and write Parquet files with a row for each study to --output; "
        "--workers is the largest number of processes, 0 for one per processor. Needs the extra `ray`."
    ),
]


def check_engine(engine: Literal["local", "ray"], output: Path | None, others: Mapping[str, object]) -> None:
    """Check that the options fit the engine.

    Args:
        engine: Value of --engine.
        output: Value of --output.
        others: Values of options that --engine ray does not have.

    Raises:
        UsageError: An option does not fit.
    """
    if engine == "local":
        return
    if output is None:
        raise UsageError("--engine ray writes Parquet files; name their folder with --output")
    if given := [option for option, value in others.items() if value]:
        raise UsageError(f"{given[0]}: --engine ray does not have this option; leave one of the two out")


def parse_shard(text: str | None) -> Shard | None:
    """Parse `I/N`.

    Raises:
        UsageError: The text is no shard.
    """
    if text is None:
        return None
    from report_gen.imaging import Shard

    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or int(match[1]) >= int(match[2]):
        raise UsageError(f"--shard {text!r}: write I/N with I from 0 to N-1, such as 0/8 for the first of 8 parts")
    return Shard(int(match[1]), int(match[2]))


def worker_memory(limit: str | None, workers: int) -> int:
    """Return the memory that a worker process may take to read one image, bytes; to be called in `image_memory_limit`.

    Args:
        limit: Value of --limit-memory. Without it the workers divide the default.
        workers: Number of worker processes.
    """
    from report_gen.imaging import memory_limit

    return memory_limit() if limit is not None else memory_limit() // max(1, workers)
