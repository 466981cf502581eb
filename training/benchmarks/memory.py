"""Measure the memory of a run on a large corpus: `python -m report_gen_training.benchmarks.memory --rows 200000`.

Makes a corpus of synthetic reports with a few images, trains a tiny model on it for some hundred steps, and prints the
memory of the process and its children over time. Private memory is what the run needs; mapped files count as resident
too, but the system takes them back when it needs the memory.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL.Image
import psutil
from rich.console import Console
from rich.table import Table

from ..engine import train
from ..recipe import Recipe

_SIZE = 64
"""Image side, pixels."""
_PLACES = ("right base", "left base", "right apex", "left apex", "lower lobes", "upper lobes", "lingula", "middle lobe")
_SENTENCES = (
    "The heart is {size} in size.",
    "There is a {size} pleural effusion at the {place}.",
    "No pneumothorax at the {place}.",
    "{size} opacity in the {place}, measuring on image {number}.",
    "The lungs are clear.",
    "Degenerative changes of the spine, grade {number}.",
)
_SIZES = ("normal", "small", "moderate", "large", "mild", "severe")


@dataclass
class MemoryLog:
    """Samples the memory of this process and its children at regular intervals."""

    seconds: float
    samples: list[tuple[float, str, int, int]] = field(default_factory=list)
    """Seconds since the start, current task, resident bytes, private bytes."""
    task: str = "start"

    def __enter__(self) -> MemoryLog:
        self._start, self._done = time.perf_counter(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._done.wait(self.seconds):
            self._sample()

    def _sample(self) -> None:
        resident = private = 0
        here = psutil.Process()
        for process in (here, *here.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                memory = process.memory_info()
                resident += memory.rss
                private += memory.rss - memory.shared
        self.samples.append((time.perf_counter() - self._start, self.task, resident, private))


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, MemoryLog(options.every) as log:
        data = Path(folder)
        log.task = "writing the corpus"
        _write_corpus(data / "corpus", options.rows, options.images)

        def on_progress(task: str, _done: int, _total: int) -> None:
            log.task = task

        train(
            _recipe(data, options.steps),
            data / "run",
            resume=False,
            on_step=lambda now: on_progress(f"step {now.step}", 0, 0),
            on_progress=on_progress,
        )
    _show(log, options.rows)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="studies of the corpus")
    parser.add_argument("--images", type=int, default=40, help="studies with an image")
    parser.add_argument("--steps", type=int, default=300, help="training steps")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between samples")
    parser.add_argument("--folder", help="folder for the temporary corpus and run; default: the system's")
    return parser.parse_args(arguments)


def _write_corpus(folder: Path, rows: int, images: int) -> None:
    folder.mkdir(parents=True)
    with (folder / "manifest.jsonl").open("w", encoding="utf-8") as file:
        for row in _rows(folder, rows, images):
            file.write(json.dumps(row) + "\n")


def _rows(folder: Path, rows: int, images: int) -> Iterator[dict[str, object]]:
    random = np.random.default_rng(0)
    for number in range(rows):
        chosen = random.choice(len(_SENTENCES), size=5)
        sentences = [
            _SENTENCES[one].format(
                size=_SIZES[random.integers(len(_SIZES))],
                place=_PLACES[random.integers(len(_PLACES))],
                number=random.integers(10_000),
            )
            for one in chosen
        ]
        row: dict[str, object] = {
            "study_id": str(number),
            "patient_id": str(number // 2),
            "indication": f"Cough for {random.integers(10_000)} days.",
            "findings": " ".join(sentences[:4]),
            "impression": sentences[4],
            "split": "val" if number // 2 % 1000 == 0 else "train",
        }
        if number < images:
            path = folder / f"{number}.png"
            PIL.Image.fromarray(random.integers(0, 256, (_SIZE, _SIZE)).astype(np.uint8)).save(path)
            row["images"] = [path.name]
        yield row


def _recipe(data: Path, steps: int) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "memory",
            "data": str(data),
            "precision": "fp32",
            "tensorboard": False,
            "corpora": [{"name": "corpus", "path": "corpus"}],
            "model": {
                "encoder": {
                    "name": "test_vit",
                    "image_size": _SIZE,
                    "channels": 1,
                    "arguments": {"img_size": _SIZE},
                },
                "projector": {"patch_tokens": 2, "hidden": 32},
                "decoder": {"width": 64, "layers": 2, "heads": 2, "positions": 320},
            },
            "stages": [
                {
                    "name": "all",
                    "corpora": ["corpus"],
                    "steps": steps,
                    "batch_size": 16,
                    "rare_finding_weight": 0.5,
                    "validate_every": 100,
                    "checkpoint_metric": "loss",
                    "rates": {"encoder": 1e-4, "projector": 1e-3, "decoder": 1e-3},
                }
            ],
        }
    )


def _show(log: MemoryLog, rows: int) -> None:
    table = Table("seconds", "task", "resident MB", "private MB", title=f"{rows:,} rows")
    for seconds, task, resident, private in log.samples:
        table.add_row(f"{seconds:.0f}", task, f"{resident / 2**20:,.0f}", f"{private / 2**20:,.0f}")
    console = Console()
    console.print(table)
    peak = max(resident for _, _, resident, _ in log.samples)
    console.print(f"peak: {peak / 2**20:,.0f} MB")


if __name__ == "__main__":
    main()
