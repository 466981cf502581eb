"""Compare seconds per epoch with a plain Trainer: `python -m report_gen_training.benchmarks.trainer_comparison CORPUS`.

Both loops train a randomly initialized ViT encoder and GPT-2 decoder of the same sizes on the same studies and tokens,
with the same batch size, learning rate and number of epochs, one after the other on the same machine, on the first
image of each study. "report-gen" is the loop of `report-gen train`: images decoded once, batches of similar length,
bf16 where it is faster, cached features of a frozen encoder. "Trainer" is the loop of a tutorial; see
`plain_trainer.py`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from report_gen.prompting import load_prompt

from ..data import ExampleStore, TrainingExample, prepare
from ..engine import build_model, train
from ..recipe import Recipe
from ..run import LOG, Run, ignore_progress
from .plain_trainer import Epochs, Pair, train_plainly

_STAGE = "comparison"
_CORPUS = "corpus"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        ours, preparation, recipe, pairs = _run_ours(options, Path(folder))
        model = build_model(recipe, options.vocabulary)
        theirs = train_plainly(
            model,
            pairs["train"],
            pairs["val"],
            epochs=options.epochs,
            batch_size=options.batch_size,
            rate=options.rate,
            frozen=options.frozen,
            seed=options.seed,
            folder=Path(folder) / "plain",
        )
    Console().print(_table(ours, theirs, preparation, {split: len(found) for split, found in pairs.items()}))


def _run_ours(options: argparse.Namespace, folder: Path) -> tuple[Epochs, float, Recipe, dict[str, list[Pair]]]:
    """Train with our loop; return its epochs, the seconds before its first step, its recipe and its studies."""
    steps = _steps_per_epoch(_recipe(options, 1), folder / "count", options.batch_size)
    recipe, run = _recipe(options, steps), folder / "ours"
    began = time.perf_counter()
    prepared_after: list[float] = []

    def on_progress(*_: Any) -> None:
        prepared_after[:] = [time.perf_counter() - began]

    train(recipe, run, resume=False, on_step=lambda _: None, on_progress=on_progress)
    lines = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    seconds = [line["seconds"] for line in lines if line["kind"] == "step"]
    losses = [line["loss"] for line in lines if line["kind"] == "validation" and line["step"]]
    epochs = [sum(seconds[start : start + steps]) for start in range(0, len(seconds), steps)]
    return Epochs(tuple(epochs), tuple(losses)), (prepared_after or [0.0])[0], recipe, _pairs(recipe, run)


def _steps_per_epoch(recipe: Recipe, folder: Path, batch_size: int) -> int:
    with Run.open(folder, recipe, resume=False) as run:
        prepared = prepare(recipe, run, load_prompt(recipe.text.prompt), on_progress=ignore_progress)
    return len(_complete(prepared.encoded.examples[_CORPUS]["train"])) // batch_size


def _pairs(recipe: Recipe, folder: Path) -> dict[str, list[Pair]]:
    prepared = prepare(recipe, Run(folder), load_prompt(recipe.text.prompt), on_progress=ignore_progress)
    return {split: list(map(_pair, _complete(store))) for split, store in prepared.encoded.examples[_CORPUS].items()}


def _complete(store: ExampleStore) -> list[TrainingExample]:
    return [example for example in store if example.images and example.report_ids]


def _pair(example: TrainingExample) -> Pair:
    return Pair(example.images[0], example.report_ids)


def _recipe(options: argparse.Namespace, steps: int) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "comparison",
            "seed": options.seed,
            "text": {
                "prompt": "caption",
                "vocabulary_size": options.vocabulary,
                "drop_priors": False,
                "max_report_tokens": 160,
            },
            "corpora": [{"name": _CORPUS, "path": str(options.corpus.resolve()), "layout": options.layout}],
            "model": {
                "conditioning": "cross_attention",
                "encoder": {"name": options.encoder, "image_size": 224},
                "projector": {"patch_tokens": "all", "hidden": 192, "dropout": 0.0},
                "decoder": {"width": 256, "layers": 4, "heads": 4, "positions": 192, "dropout": 0.1},
            },
            "stages": [
                {
                    "name": _STAGE,
                    "corpora": [_CORPUS],
                    "steps": steps * options.epochs,
                    "batch_size": options.batch_size,
                    "augment": False,
                    "cached_features": int(options.frozen),
                    "finding_weight": 0.0,
                    "state_dropout": 1.0,
                    "indication_dropout": 1.0,
                    "validate_every": steps,
                    "checkpoint_metric": "loss",
                    "patience": options.epochs + 1,
                    "rates": {
                        "encoder": 0.0 if options.frozen else options.rate,
                        "projector": options.rate,
                        "decoder": options.rate,
                    },
                }
            ],
        }
    )


def _table(ours: Epochs, theirs: Epochs, preparation: float, studies: dict[str, int]) -> Table:
    title = f"{studies['train']} training and {studies['val']} validation studies; {preparation:.0f} s of preparation"
    table = Table(title=title)
    for heading in ("epoch", "report-gen, s", "Trainer, s", "ratio", "loss, report-gen", "loss, Trainer"):
        table.add_column(heading, justify="right")
    rows = zip(ours.seconds, theirs.seconds, ours.validation_losses, theirs.validation_losses, strict=True)
    for number, (fast, slow, loss, other) in enumerate(rows, start=1):
        table.add_row(str(number), f"{fast:.1f}", f"{slow:.1f}", f"{slow / fast:.2f}", f"{loss:.4f}", f"{other:.4f}")
    return table


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="a corpus of images with reports and a validation split")
    parser.add_argument("--layout", help="layout of the corpus; detected if not given")
    parser.add_argument("--encoder", default="vit_tiny_patch16_224", help="a ViT by its timm name")
    parser.add_argument("--frozen", action="store_true", help="freeze the encoder in both loops")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4, help="peak learning rate")
    parser.add_argument("--vocabulary", type=int, default=2000, help="vocabulary size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="folder for the temporary runs; default: the system's")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
