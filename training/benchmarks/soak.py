"""Draft many times in one process: `python -m report_gen_training.benchmarks.soak --drafts 10000`.

Synthetic DICOM studies, one in a hundred of them truncated, are read and drafted in rounds, each round in another
order. Every round must give the same texts and refuse the same studies as the first, and the memory must not grow. The
exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
from rich.table import Table

from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.generation import Decoding
from report_gen.imaging import read_studies
from report_gen.phantom import write_phantom
from report_gen.records import Report, format_report
from report_gen.terminal import print_table, print_text, track

_BROKEN = 100
"""One of so many studies is truncated."""
_GROWTH = 1.05
"""Largest allowed ratio of the memory after the last round and after the second."""

Outcomes = dict[str, str]
"""Text of each draft, or the reason of the refusal, by study."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draft in rounds, print a table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drafts", type=int, default=10_000, help="number of drafts over all rounds")
    parser.add_argument("--studies", type=int, default=200, help="number of different studies")
    parser.add_argument("--size", type=int, default=256, help="side of an image, pixels")
    parser.add_argument("--checkpoint", type=Path, help="default: the embedded checkpoint")
    parser.add_argument("--base", metavar="NAME", help="base of a checkpoint that is an adapter")
    parser.add_argument("--method", choices=("greedy", "beam", "sample"), default="greedy")
    parser.add_argument("--max-tokens", type=int, default=160, help="maximum number of tokens of a draft")
    options = parser.parse_args(arguments)
    drafter = Drafter.load(options.checkpoint, base=options.base)
    decoding = Decoding(method=options.method, max_tokens=options.max_tokens)
    rounds = max(3, round(options.drafts / options.studies))
    table = Table(title=f"{rounds} rounds over {options.studies} studies")
    for heading in ("round", "drafts", "refused", "different from round 1", "resident memory, MB", "seconds"):
        table.add_column(heading, justify="right")
    memory, differing, first = [], 0, Outcomes()
    with tempfile.TemporaryDirectory() as folder:
        paths = list(_write_studies(Path(folder), options.studies, options.size))
        for number in track(range(1, rounds + 1), total=rounds, description="rounds"):
            start = time.perf_counter()
            order = np.random.default_rng(number).permutation(len(paths))
            outcomes = _draft([paths[index] for index in order], drafter, decoding)
            first = first or outcomes
            changed = sum(outcomes[name] != first[name] for name in first)
            differing += changed
            gc.collect()
            memory.append(psutil.Process().memory_info().rss)
            refused = sum(text.startswith("refused") for text in outcomes.values())
            cells = (number, len(outcomes) - refused, refused, changed, round(memory[-1] / 1e6))
            table.add_row(*map(str, cells), f"{time.perf_counter() - start:.0f}")
    print_table(table)
    growth = memory[-1] / memory[1]
    print_text(f"memory after the last round: {growth:.3f} times that after the second; different texts: {differing}")
    return int(differing > 0 or growth > _GROWTH)


def _write_studies(folder: Path, studies: int, size: int) -> Iterator[Path]:
    """Write phantoms as DICOM files, and truncate one in `_BROKEN`."""
    for seed in range(studies):
        path = write_phantom(folder, rows=size, columns=size, seed=seed)
        if seed % _BROKEN == _BROKEN - 1:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        yield path


def _draft(paths: Sequence[Path], drafter: Drafter, decoding: Decoding) -> Outcomes:
    """Read and draft studies, as `report-gen draft` does."""
    found = read_studies(*paths)
    outcomes = {error.path.stem: f"refused: {error.reason}" for error in found.refused}
    for study, result in zip(found.studies, drafter.draft_all(found.studies, decoding=decoding), strict=True):
        name = study.images[0].path.stem
        if isinstance(result, Report):
            outcomes[name] = format_report(result.sections)
        elif isinstance(result, StudyError):
            outcomes[name] = f"refused: {result.reason}"
    return outcomes


if __name__ == "__main__":
    raise SystemExit(main())
