"""Every notebook runs from top to bottom, without network, and is stored without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
EXPECTED_OUTPUT = {
    "01_draft_one_study": "DRAFT - not for diagnosis",
    "02_finetune_on_your_corpus": "DRAFT - not for diagnosis",
    "03_does_it_see_the_image": "collapsed",
}
"""Text that the output of each notebook contains, besides what its own cells assert."""

KERNEL = """
import gc, json, os, sys, traceback
from pathlib import Path

import report_gen.evaluation
import report_gen_training.monitoring.monitored_run


def run(notebook):
    names = {"__name__": "__main__"}
    for cell in json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook}:{cell['id']}", "exec"), names)


def run_in_child(notebook, output):
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    status = 1
    try:
        run(notebook)
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


gc.freeze()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run_in_child(*json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""
"""Runs each notebook in a fork of one process, because importing the libraries takes longer than most notebooks do.

Processes end without the interpreter's own clean-up, and the objects of the libraries are kept from garbage collection:
both would copy the memory that the processes share.
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all notebooks run in: 03 uses the model that 02 trained."""
    return tmp_path_factory.mktemp("notebooks")


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", KERNEL]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(notebook: Path, folder: Path, kernel: subprocess.Popen[str]) -> None:
    output = folder / f"{notebook.stem}.txt"
    assert kernel.stdin is not None
    assert kernel.stdout is not None
    kernel.stdin.write(json.dumps([str(notebook), str(output)]) + "\n")
    kernel.stdin.flush()
    status = kernel.stdout.readline().strip()
    assert status == "0", output.read_text(encoding="utf-8", errors="replace")
    assert EXPECTED_OUTPUT[notebook.stem] in output.read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_without_outputs(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
