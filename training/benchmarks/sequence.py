"""Measure the sequence encoders: `python -m report_gen_training.benchmarks.sequence`.

For every kind this measures the CPU seconds of the forward pass, and of forward and backward pass, over the patch
features of one study. Kinds alternate in every round; the table shows medians over the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
import typer
from rich.console import Console
from rich.table import Table

from report_gen.config import SequenceConfig
from report_gen.model import SequenceEncoder, build_sequence_encoder
from report_gen.records import ViewOffset

KINDS = (
    SequenceConfig(kind="mean"),
    SequenceConfig(kind="recurrent"),
    SequenceConfig(kind="recurrent", cell="gru"),
    SequenceConfig(kind="attention"),
)


def main(views: int = 64, patches: int = 49, width: int = 1024, rounds: int = 9) -> None:
    """Print the median CPU seconds and the parameters of each kind, for V views with N patches of width D_img."""
    encoders = [build_sequence_encoder(config, image_width=width) for config in KINDS]
    features = torch.randn(1, views, patches, width, requires_grad=True)  # [B,V,N,D_img]
    offsets = torch.tensor([[ViewOffset(mm=5.0 * view) for view in range(views)]])  # [B,V,3]
    mask = torch.ones(1, views, dtype=torch.bool)  # [B,V]

    def forward(encoder: SequenceEncoder) -> None:
        with torch.inference_mode():
            encoder.eval()(features, mask, offsets)

    def backward(encoder: SequenceEncoder) -> None:
        related, _ = encoder.train()(features, mask, offsets)
        related.sum().backward()

    seconds: dict[tuple[int, str], list[float]] = {}
    for _ in range(rounds):
        for number, encoder in enumerate(encoders):
            for run in (forward, backward):
                seconds.setdefault((number, run.__name__), []).append(_time(run, encoder))
    table = Table("sequence encoder", "parameters, millions", "forward", "forward and backward")
    table.title = f"CPU seconds for {views} views with {patches} patches of width {width}"
    for number, (config, encoder) in enumerate(zip(KINDS, encoders, strict=True)):
        name = f"{config.kind}, {config.cell}" if config.kind == "recurrent" else config.kind
        count = sum(parameter.numel() for parameter in encoder.parameters())
        times = (median(seconds[number, run]) for run in ("forward", "backward"))
        table.add_row(name, f"{count / 1e6:.1f}", *(f"{taken:.2f}" for taken in times))
    Console().print(table)


def _time(run: Callable[[SequenceEncoder], None], encoder: SequenceEncoder) -> float:
    start = time.process_time()
    run(encoder)
    return time.process_time() - start


if __name__ == "__main__":
    typer.run(main)
