"""Write the finding probabilities that checkpoints give for the images of corpora, as soft labels for a training.

    python -m report_gen_training.experiments.soft_labels ../shared/data/nih_more --checkpoint runs/teacher/best \
        --output teacher.csv

The recipe key `soft_label_file` names the table. Probabilities of several checkpoints are averaged. Every image is a
study of its own. A checkpoint is too certain of the images that it was trained on: let checkpoints that were trained on
other patients label them (`--split` chooses images), or use few epochs. `--only-missing` leaves the soft labels that a
corpus has, such as those of CheXNet, to the training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from report_gen.config import VIEWS
from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError, UsageError
from report_gen.imaging.transform import ImageTransform
from report_gen.metrics import Floats
from report_gen.model import Checkpoint, VisualFeatures, load_checkpoint, read_config, resolve_device
from report_gen.records import ViewPosition
from report_gen.terminal import bars, run_app

from ..data import ImageCache, cache_images, write_soft_labels

_BATCH = 32

View = tuple[str, ViewPosition]
"""Path and view position of an image."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Raises ReportGenError with a message for the user."""
    options = _parse(arguments)
    device = resolve_device(options.device)
    checkpoints = [
        load_checkpoint(folder, base=options.base if read_config(folder).adapter else None)
        for folder in options.checkpoint
    ]
    findings = checkpoints[0].model.config.finding_schema.findings
    if any(one.model.config.finding_schema.findings != findings for one in checkpoints):
        raise UsageError("the checkpoints have different findings; give checkpoints with the same finding schema")
    images = read_images(options.corpora, options.split, only_missing=options.only_missing)
    cache = options.cache or options.output.parent / "cache"
    probabilities = [predict_images(one, images, cache, device) for one in checkpoints]
    write_soft_labels(options.output, [Path(path).name for path, _ in images], findings, np.mean(probabilities, axis=0))
    Console().print(f"soft labels of {len(images)} images: {options.output}", soft_wrap=True, highlight=False)


def read_images(corpora: Sequence[Path], split: str, *, only_missing: bool = False) -> list[View]:
    """Return the images of corpora with their views.

    Args:
        corpora: Folders or files in any layout.
        split: Split to read, or `all`.
        only_missing: Leave out the studies that have soft labels.

    Raises:
        CorpusError: A corpus cannot be read, there is no such image in the split, or two images have the same name: the
            table names images without their folder.
    """
    rows = [row for path in corpora for row in read_corpus(path) if split in ("all", row["split"])]
    if only_missing:
        rows = [row for row in rows if all(label is None for label in row["soft_labels"])]
    views = [
        (path, ViewPosition(view))
        for row in rows
        for path, view in zip(row["images"], row["view_positions"], strict=True)
    ]
    if not views:
        kind = " without soft labels" if only_missing else ""
        raise CorpusError(
            f"{', '.join(map(str, corpora))}: no image{kind} in the split {split!r}; choose another --split"
        )
    stems = [Path(path).stem for path, _ in views]
    if len(set(stems)) < len(stems):
        raise CorpusError("two images have the same name, which the table could not tell apart; rename one")
    return views


def predict_images(checkpoint: Checkpoint, views: Sequence[View], cache: Path, device: torch.device) -> Floats:
    """Return the calibrated probabilities [n,F] of each image; NaN for findings that the checkpoint does not report.

    Args:
        checkpoint: The model.
        views: The n images.
        cache: Folder of decoded images.
        device: Where the model runs.

    Raises:
        CorpusError: An image cannot be read.
    """
    batches = encode_views(checkpoint, views, cache, device)
    probabilities: Floats = np.concatenate(
        [checkpoint.model.probabilities(visual.finding_logits.double()).cpu().numpy() for visual in batches]
    )
    probabilities[:, ~np.array(checkpoint.model.config.findings.reported)] = np.nan
    return probabilities


def encode_views(
    checkpoint: Checkpoint, views: Sequence[View], cache: Path, device: torch.device
) -> Iterator[VisualFeatures]:
    """Yield the visual features of n images, each as a study of its own, batch by batch.

    Args:
        checkpoint: The model.
        views: The n images.
        cache: Folder of decoded images.
        device: Where the model runs.

    Raises:
        CorpusError: An image cannot be read.
    """
    config, model = checkpoint.model.config, checkpoint.model.to(device).eval()
    transform = ImageTransform.from_config(config.encoder, config.preprocessing, config.volumes)
    with bars() as progress:
        images, unreadable = cache_images(cache, [path for path, _ in views], transform, on_progress=progress.show)
        if unreadable:
            raise CorpusError(f"{unreadable[0].path}: {unreadable[0].reason}")
        starts = range(0, len(views), _BATCH)
        for start in progress.track(starts, total=len(starts), description=f"findings by {config.name}"):
            chosen = views[start : start + _BATCH]
            squares = torch.from_numpy(_read(images, chosen)).float() / 255
            pixel_values = transform.normalize(squares)[:, None]  # [B,1,C,H,W]
            positions = torch.tensor([[VIEWS.index(view)] for _, view in chosen])
            mask = torch.ones_like(positions, dtype=torch.bool)
            with torch.inference_mode():
                visual = model.encode_images(pixel_values.to(device), positions.to(device), mask.to(device))
            yield visual  # outside of the block, which would extend to the code of the caller


def _read(images: ImageCache, views: Sequence[View]) -> NDArray[np.uint8]:
    return np.stack([images.read(Path(path)) for path, _ in views])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m report_gen_training.experiments.soft_labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpora", nargs="+", type=Path, metavar="CORPUS", help="corpora with images, in any layout")
    parser.add_argument(
        "--checkpoint", action="append", type=Path, required=True, help="checkpoint folder; may be repeated"
    )
    parser.add_argument("--base", metavar="NAME", help="base of the checkpoints that are adapters")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.csv", help="table to write")
    parser.add_argument("--split", default="all", help="split of the corpora: train, val, test or all")
    parser.add_argument("--only-missing", action="store_true", help="leave out studies that have soft labels")
    parser.add_argument("--cache", type=Path, help="folder of decoded images; default: cache beside the table")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_app(main)
