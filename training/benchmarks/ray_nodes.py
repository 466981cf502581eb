"""Draft many small studies on two Ray nodes of this computer, and kill one of them twice.

python -m report_gen_training.benchmarks.ray_nodes --studies 10000

The model is tiny and has random weights, so this measures what lies around a model. The exit code is 1 if a study has
no row or two, or a text that differs from that of one process.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from report_gen.errors import ReportGenError
from report_gen.terminal import print_table, print_text

from .light_checkpoint import write_images, write_light_checkpoint
from .process_tree import CommandRun, run_draft

_STORE = 200 * 2**20
"""Memory of the object store of a node, bytes."""
_COMPARED = 200
"""Number of studies whose texts are compared with those of one process."""
_OPTIONS = ("--method", "greedy", "--candidates", "1", "--quiet")


class TwoNodes:
    """A head node, and a node that is killed when a number of studies is drafted and then replaced.

    Args:
        kills: Numbers of drafts at which the second node is killed.
    """

    def __init__(self, kills: list[int]) -> None:
        from ray.cluster_utils import Cluster

        self._remaining, self.killed_at = sorted(kills), list[int]()
        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": _STORE}
        )
        self._second = self._add()
        self.address: str = self._cluster.address

    def _add(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=_STORE)

    def watch(self, done: int) -> None:
        """Kill the second node if it is time, and add another one."""
        if self._remaining and done >= self._remaining[0]:
            self._remaining.pop(0)
            self.killed_at.append(done)
            self._cluster.remove_node(self._second, allow_graceful=False)
            self._second = self._add()

    def processes(self) -> list[int]:
        """Return the IDs of the processes of the nodes."""
        nodes = [self._cluster.head_node, *self._cluster.worker_nodes]
        return [info.process.pid for node in nodes for infos in node.all_processes.values() for info in infos]

    def stop(self) -> None:
        """End all nodes."""
        self._cluster.shutdown()


def main(studies: Annotated[int, typer.Option(min=100, help="Number of studies.")] = 10_000) -> None:
    """Draft studies on two nodes, one of which is killed twice, and check that nothing is lost or doubled."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_light_checkpoint(folder / "light")
        write_images(folder / "in", studies)
        nodes = TwoNodes([studies // 4, studies // 2])
        try:
            run = _draft(folder, nodes)
        finally:
            nodes.stop()
        faults = _faults(folder, studies)
    _print(run, nodes.killed_at, studies)
    print_text(f"faults: {len(faults)}")
    for fault in faults:
        print_text(fault)
    raise typer.Exit(1 if faults or len(nodes.killed_at) < 2 else 0)


def _draft(folder: Path, nodes: TwoNodes) -> CommandRun:
    output, log = folder / "out", folder / "log"
    run = run_draft(
        [folder / "in", "-o", output, "--checkpoint", folder / "light", "--engine", "ray", "--workers", "2", *_OPTIONS],
        partial(_count_rows, output),
        environment={**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": nodes.address},
        log=log,
        meanwhile=nodes.watch,
        also=nodes.processes,
    )
    if run.exit_code:
        raise ReportGenError(f"report-gen draft ended with exit code {run.exit_code}: {log.read_text()[-2000:]}")
    return run


def _count_rows(output: Path) -> int:
    """Return the number of rows of the complete Parquet files."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    rows = 0
    for path in output.glob("*.parquet"):
        with suppress(OSError, pa.ArrowException):  # a file that is being written
            rows += parquet.read_metadata(path).num_rows
    return rows


def _faults(folder: Path, studies: int) -> list[str]:
    """Return what is wrong with the rows."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(folder / "out").to_pylist()
    counts = Counter(row["study"] for row in table)
    wanted = {path.stem for path in (folder / "in").rglob("*.png")}
    faults = [f"{name}: {count} rows" for name, count in counts.items() if count != 1]
    faults += [f"{name}: no row" for name in sorted(wanted - counts.keys())]
    faults += [f"{row['study']}: {row['error']}" for row in table if row["exit_code"]]
    texts = {row["study"]: row["txt"] for row in table}
    chosen = random.Random(0).sample(sorted(wanted), min(_COMPARED, studies))  # noqa: S311 - no secret
    paths = [path for path in (folder / "in").rglob("*.png") if path.stem in set(chosen)]
    here = folder / "here"
    run_draft(
        [*paths, "-o", here, "--checkpoint", folder / "light", *_OPTIONS],
        lambda: 0,
        environment={**os.environ, "OMP_NUM_THREADS": "1"},
        log=folder / "log",
    )
    return faults + [
        f"{name}: another text than in one process"
        for name in chosen
        if (here / f"{name}.txt").read_text(encoding="utf-8") != texts.get(name)
    ]


def _print(run: CommandRun, killed_at: list[int], studies: int) -> None:
    table = Table("quarter", title=f"{studies} studies on two nodes; one was killed after {killed_at} drafts")
    table.add_column("memory of all processes, MiB", justify="right")
    for number, memory in enumerate(run.memory(), start=1):
        table.add_row(str(number), f"{memory:.0f}")
    print_table(table)
    print_text(
        f"per study: {run.steady_seconds:.4f} s, {run.steady_cpu_seconds:.4f} processor seconds; "
        f"in all {run.samples[-1].seconds:.0f} s"
    )


if __name__ == "__main__":
    typer.run(main)
