"""What runs on the nodes of a Ray cluster: the source of the studies, and the actors that draft them."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from pyarrow.fs import LocalFileSystem
from ray.data import DataContext, Datasource, ReadTask
from ray.data.block import BlockMetadata
from ray.data.checkpoint import CheckpointConfig, IdColumnCheckpointManager
from ray.exceptions import RayError

from report_gen.batch.engines import open_worker, refuse, split_batches
from report_gen.batch.pool import WorkerPool
from report_gen.batch.records import BatchSettings, Document, DraftedStudy, StudyTask
from report_gen.errors import ReportGenError, UsageError
from report_gen.outputs import get_format
from report_gen.outputs.draft_file import digest
from report_gen.records import Study

_RETRIES = 2
"""How often the written studies are read again because a node of the cluster may have died."""


class StudySource(Datasource):  # type: ignore[misc]  # Ray has no types
    """Gives Ray the studies of a batch as rows with an ID.

    Args:
        studies: The studies by their IDs.
        size: Number of studies of a block.
    """

    def __init__(self, studies: Mapping[str, StudyTask], size: int) -> None:
        super().__init__()
        rows = list(studies.items())
        self._blocks = [
            pa.table({"id": [name for name, _ in block], "task": [pickle.dumps(task) for _, task in block]})
            for block in (rows[start : start + size] for start in range(0, len(rows), size))
        ]

    def estimate_inmemory_data_size(self) -> int:
        """Return the bytes of all rows."""
        return sum(block.nbytes for block in self._blocks)

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """Return a task for each block, whatever parallelism Ray proposes."""
        return [
            ReadTask(
                partial(_as_list, block),
                BlockMetadata(num_rows=len(block), size_bytes=block.nbytes, input_files=None, exec_stats=None),
                schema=block.schema,
            )
            for block in self._blocks
        ]


class RayDrafter:
    """An actor that drafts studies in a process of its own, so that a study which crashes it is refused.

    Args:
        settings: What the drafts have in common.
    """

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._pool = WorkerPool(partial(open_worker, settings), refuse, workers=1, seconds=settings.limits.seconds)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return a row of drafts for each study of a block."""
        tasks: dict[int, StudyTask] = {}
        ids: dict[int, str] = {}
        for name, pickled in zip(rows["id"].to_pylist(), rows["task"].to_pylist(), strict=True):
            task: StudyTask = pickle.loads(pickled)  # noqa: S301 - from the driver through Ray, which pickles as well
            tasks[task.number], ids[task.number] = task, name
        results = self._pool.run(split_batches(tasks.values(), self._settings.batch_size))
        return pa.Table.from_pylist(
            [_row(ids[result.number], tasks[result.number], result) for result in results],
            schema=_schema(next(iter(tasks.values())).formats),
        )


class NoFilter(IdColumnCheckpointManager):  # type: ignore[misc]  # Ray has no types
    """Lets Ray record the studies that are written, but not look for those that were written before.

    Ray's filter is an actor that needs a processor and 1 GiB. On a small cluster the actors that draft then wait for
    its processor, and it waits for them. `remaining_studies` leaves the studies out instead.
    """

    def load_checkpoint(self, *_: Any, **__: Any) -> tuple[None, int]:
        """Return that no study has been written."""
        return None, 0


def data_context(written: Path) -> DataContext:
    """Return the settings of Ray Data with which it records the IDs of the studies that are written.

    Args:
        written: Folder of the records.
    """
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.checkpoint_config = CheckpointConfig(
        id_column="id",
        checkpoint_path=str(written.absolute()),
        delete_checkpoint_on_success=False,
        checkpoint_manager_cls=NoFilter,
    )
    return context


def write_drafts(
    studies: Mapping[str, StudyTask], folder: Path, settings: BatchSettings, *, workers: int, rows: int
) -> None:
    """Draft studies, and write Parquet files to a folder.

    Args:
        studies: The studies by their IDs.
        folder: Folder of the Parquet files.
        settings: What the drafts have in common.
        workers: Largest number of processes that draft.
        rows: Number of studies that are written together.
    """
    drafted = ray.data.read_datasource(StudySource(studies, rows)).map_batches(
        RayDrafter,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=1,
        fn_constructor_kwargs={"settings": settings},
    )
    drafted.write_parquet(str(folder.absolute()))


def remaining_studies(tasks: Sequence[StudyTask], folder: Path, context: DataContext) -> dict[str, StudyTask]:
    """Return the studies that have no row yet, by their IDs, and remove files that were not completely written."""
    studies = dict(zip(study_ids(tasks), tasks, strict=True))
    config = context.checkpoint_config
    if not Path(config.checkpoint_path).exists():
        return studies
    done = _read_written(IdColumnCheckpointManager(checkpoint_config=config, data_context=context), folder)
    return {name: task for name, task in studies.items() if name not in done}


def _read_written(manager: Any, folder: Path) -> set[str]:
    """Return the IDs of the studies that are written.

    Ray reads them on its nodes. It gives work to a node that has just died until it misses the heartbeats of the node.
    """

    def read() -> set[str]:
        written, _ = manager.load_checkpoint(str(folder.absolute()), LocalFileSystem())
        return set() if written is None else set(ray.get(written).tolist())

    for _ in range(_RETRIES):
        with suppress(RayError):
            return read()
    return read()


def study_ids(tasks: Sequence[StudyTask]) -> Iterator[str]:
    """Yield an ID of each study: a digest of its name, images and prior studies, with a number for further copies.

    Copies of the same name have the same row, so it does not matter which of them was drafted before.
    """
    copies = Counter[str]()
    for task in tasks:
        study = task.request.study
        priors = [(_images(prior.study), prior.days_earlier) for prior in task.request.priors]
        inputs = digest(json.dumps([study.name, _images(study), priors]))
        copies[inputs] += 1
        yield inputs if copies[inputs] == 1 else f"{inputs}-{copies[inputs]}"


def _images(study: Study) -> list[tuple[str, str]]:
    return [(image.sha256, image.view_position) for image in study.images]


def _as_list(block: pa.Table) -> list[pa.Table]:
    return [block]


def _schema(formats: Sequence[str]) -> pa.Schema:
    columns = {"id": pa.string(), "study": pa.string(), "model": pa.string(), "error": pa.string()}
    columns |= {"exit_code": pa.int32()}
    return pa.schema(columns | {name: pa.string() if get_format(name).is_text else pa.binary() for name in formats})


def _row(name: str, task: StudyTask, result: DraftedStudy) -> Mapping[str, Any]:
    errors = [one for one in result.documents.values() if isinstance(one, ReportGenError)]
    for error in errors:
        if isinstance(error, UsageError):
            raise error
    if result.refused is not None:
        errors = [result.refused]
    return {
        "id": name,
        "study": _text(task.request.study.name),
        "model": result.model,
        "error": _text("\n".join(map(str, errors))),
        "exit_code": max((error.exit_code for error in errors), default=0),
        **{format_name: _content(format_name, document) for format_name, document in result.documents.items()},
    }


def _text(text: str) -> str:
    """Return a text that Arrow takes: bytes of a file name that are not UTF-8 become escapes, for example \\udce9."""
    return text.encode(errors="backslashreplace").decode()


def _content(format_name: str, document: Document) -> str | bytes | None:
    if isinstance(document, ReportGenError):
        return None
    return document.decode() if get_format(format_name).is_text else document
