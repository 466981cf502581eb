"""Measure what conditioning costs: `python -m report_gen_training.benchmarks.conditioning CHECKPOINT...`.

For every checkpoint, this counts the tokens of a study's images, prompt and draft, and times greedy drafts of the same
studies, one by one and eight at a time, including reading the files. Checkpoints alternate in every round, so that
other load on the machine affects all of them; the table shows medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from report_gen.drafting import Drafter
from report_gen.errors import StudyError, UsageError
from report_gen.files import write_atomically
from report_gen.generation import Decoding, generate_tokens
from report_gen.imaging import read_study
from report_gen.model import Checkpoint, load_checkpoint, read_config
from report_gen.records import Study
from report_gen.terminal import run_app

from ..bench.generation import condition, draw_studies

_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Costs of one checkpoint; token counts are means over the studies."""

    checkpoint: str
    conditioning: str
    image_tokens: float
    """Tokens of a study's images: K visual tokens, or the tokens of its numbers."""
    prompt_tokens: float
    """Prompt tokens P, including the begin token."""
    prefix_positions: float
    """Decoder positions before the report; tokens in cross-attention take none."""
    report_tokens: float
    """Report tokens R of a draft."""
    seconds_alone: float
    """Seconds per draft, one study at a time."""
    seconds_batched: float
    """Seconds per draft, eight studies at a time."""
    """A draft, eight studies at a time."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises UsageError, CheckpointError, StudyError, OutputError with a message for the user."""
    options = _parse(arguments)
    if options.rounds < 1:
        raise UsageError(f"--rounds {options.rounds}: must be 1 or more")
    checkpoints = {
        str(folder): load_checkpoint(folder, base=options.base if read_config(folder).adapter else None)
        for folder in options.checkpoints
    }
    decoding = Decoding(max_tokens=options.max_tokens)
    with tempfile.TemporaryDirectory() as folder:
        found = [read_study(path) for path in options.studies or ()] or draw_studies(Path(folder), _BATCH)
        studies = [found[index % len(found)] for index in range(_BATCH)]
        costs = measure(checkpoints, studies, decoding, rounds=options.rounds)
    Console().print(_table(costs))
    if options.json:
        document = {"threads": torch.get_num_threads(), "rounds": options.rounds, "costs": [asdict(c) for c in costs]}
        write_atomically(options.json, json.dumps(document, indent=2) + "\n")


def measure(
    checkpoints: dict[str, Checkpoint], studies: Sequence[Study], decoding: Decoding, *, rounds: int
) -> list[Costs]:
    """Measure the costs of each checkpoint over eight studies.

    Raises:
        StudyError: A study cannot be read.
    """
    drafters = {name: Drafter.from_checkpoint(checkpoint) for name, checkpoint in checkpoints.items()}
    alone: dict[str, list[float]] = {name: [] for name in drafters}
    batched: dict[str, list[float]] = {name: [] for name in drafters}
    for drafter in drafters.values():
        _time(drafter, studies[:1], decoding)  # the first draft warms up
    for number in range(rounds):
        for name, drafter in drafters.items():
            alone[name].append(_time(drafter, [studies[number % len(studies)]], decoding))
            batched[name].append(_time(drafter, studies, decoding))
    return [
        _count(name, checkpoint, studies, decoding, median(alone[name]), median(batched[name]))
        for name, checkpoint in checkpoints.items()
    ]


def _time(drafter: Drafter, studies: Sequence[Study], decoding: Decoding) -> float:
    """Return the seconds per draft."""
    began = time.perf_counter()
    for draft in drafter.draft_all(studies, decoding=decoding, batch_size=len(studies)):
        if isinstance(draft, StudyError):
            raise draft
    return (time.perf_counter() - began) / len(studies)


@torch.inference_mode()
def _count(
    name: str, checkpoint: Checkpoint, studies: Sequence[Study], decoding: Decoding, alone: float, batched: float
) -> Costs:
    model = checkpoint.model
    texts = condition(checkpoint, studies)
    written = generate_tokens(model, **texts._asdict(), decoding=decoding)
    images, prompt = float(texts.visual_mask.sum(1).double().mean()), _mean_length(texts.prompt_ids) + 1
    return Costs(
        checkpoint=name,
        conditioning=model.config.conditioning,
        image_tokens=images,
        prompt_tokens=prompt,
        prefix_positions=prompt + (0 if model.conditioning.adds_cross_attention else images),
        report_tokens=_mean_length([one.token_ids for one in written]),
        seconds_alone=alone,
        seconds_batched=batched,
    )


def _mean_length(rows: Sequence[Sequence[int]]) -> float:
    return sum(map(len, rows)) / len(rows)


def _table(costs: Sequence[Costs]) -> Table:
    table = Table(title=f"Tokens per study and seconds per greedy draft, {torch.get_num_threads()} threads")
    headings = ("image tokens", "prompt tokens", "positions before\nthe report", "report tokens")
    table.add_column("conditioning")
    for heading in (*headings, "seconds alone", f"seconds in\nbatches of {_BATCH}"):
        table.add_column(heading, justify="right")
    for one in costs:
        tokens = (one.image_tokens, one.prompt_tokens, one.prefix_positions, one.report_tokens)
        seconds = (one.seconds_alone, one.seconds_batched)
        table.add_row(one.conditioning, *(f"{count:.1f}" for count in tokens), *(f"{took:.3f}" for took in seconds))
    return table


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="checkpoint folders")
    parser.add_argument("--base", metavar="NAME", help="base of the checkpoints that are adapters")
    parser.add_argument(
        "--studies", nargs="+", type=Path, metavar="PATH", help="images or folders; default: drawn phantoms"
    )
    parser.add_argument("--rounds", type=int, default=9, help="timing rounds; the table shows medians")
    parser.add_argument("--max-tokens", type=int, default=100, help="maximum tokens of a draft")
    parser.add_argument("--json", type=Path, help="also write the results as JSON to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
