"""Train in child processes that share one import of the libraries, so that they start quickly."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from report_gen.errors import ReportGenError
from report_gen.terminal import run_app

from ..recipe import Recipe

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["report_gen_training.engine.session"])


def start_server() -> None:
    """Start the server that forks the children; otherwise the first child waits for it."""
    child = _CONTEXT.Process(target=os.getpid)
    child.start()
    child.join()


def start(recipe: Recipe, folder: Path, *, resume: bool = False, processes: int = 1) -> list[BaseProcess]:
    """Train in one process, or in several that communicate through gloo.

    The exit code is that of `report-gen train`; errors go to standard error.
    """
    return fork(_train, (recipe, folder, resume), processes=processes)


def finish(children: list[BaseProcess]) -> None:
    """Wait for the children.

    Raises:
        ReportGenError: A child failed.
    """
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise ReportGenError(f"a training run ended with exit code {max(child.exitcode or 0 for child in children)}")


def fork(target: Callable[..., None], arguments: tuple[Any, ...], *, processes: int) -> list[BaseProcess]:
    """Call a function in processes that form one group, as `torch.distributed.run` would start them."""
    port = _free_port()
    children: list[BaseProcess] = [
        _CONTEXT.Process(target=_join, args=(rank, processes, port, target, arguments)) for rank in range(processes)
    ]
    for child in children:
        child.start()
    return children


def _join(rank: int, processes: int, port: int, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        os.environ |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    target(*arguments)


def _train(recipe: Recipe, folder: Path, resume: bool) -> None:
    from ..engine import train

    run_app(partial(train, recipe, folder, resume=resume, on_step=lambda _: None))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
