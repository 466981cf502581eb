"""Measure the encoder of volumes: `OMP_NUM_THREADS=1 python -m report_gen_training.benchmarks.volume_encoder`.

Each number of slices is measured in a process of its own: the forward pass of one volume, as a draft needs it, and if
asked for forward and backward pass, as training needs them. The weights are random, which changes neither figure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import torch
from rich.table import Table

from report_gen.model import ImageEncoder
from report_gen.terminal import print_table, track

from .formats import peak_memory


class Cost(NamedTuple):
    """Cost of one volume."""

    seconds: float
    """CPU seconds."""
    memory: int
    """Peak of the resident memory of the process, bytes."""
    shape: tuple[int, ...]
    """Shape [N,D_img] of the patch features."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each number of slices, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="astra_i3resnet152", help="name of the encoder")
    parser.add_argument("--slices", type=int, nargs="+", default=[32, 96, 160], help="numbers of slices")
    parser.add_argument("--size", type=int, default=224, help="side of a slice, pixels")
    parser.add_argument("--backward", action="store_true", help="measure forward and backward pass")
    options = parser.parse_args(arguments)
    passes = "forward and backward pass" if options.backward else "forward pass"
    table = Table(title=f"{options.encoder}, one volume of {options.size} x {options.size}, {passes}, float32")
    for heading in ("slices", "patches", "width", "CPU s", "memory, MB"):
        table.add_column(heading, justify="right")
    for slices in track(options.slices, total=len(options.slices), description="volumes"):
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
            cost = process.submit(measure, options.encoder, slices, options.size, backward=options.backward).result()
        table.add_row(str(slices), *map(str, cost.shape), f"{cost.seconds:.1f}", f"{cost.memory / 1e6:.0f}")
    print_table(table)


def measure(name: str, slices: int, size: int, *, backward: bool) -> Cost:
    """Return the cost of one volume. The process should be new: its peak of memory counts."""
    encoder = ImageEncoder(name=name, arguments={}, image_size=size, channels=slices).train(backward)
    volume = torch.rand(1, slices, size, size)
    start = time.process_time()
    with torch.set_grad_enabled(backward):
        (features,) = encoder(volume)
        if backward:
            features.sum().backward()
    return Cost(time.process_time() - start, peak_memory(), tuple(features.shape))


if __name__ == "__main__":
    main()
