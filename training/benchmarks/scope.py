"""Measure what the image recognizer of a checkpoint decides: `python -m report_gen_training.benchmarks.scope --help`.

Only the pixels count here; the headers of DICOM files are ignored.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from report_gen.errors import StudyError
from report_gen.files import IMAGE_SUFFIXES
from report_gen.imaging import read_pixels
from report_gen.imaging.transform import ImageTransform
from report_gen.model import EMBEDDED, ImageRecognizer, ReportModel, load_checkpoint
from report_gen.terminal import print_error, print_table, track

from ..data import split_of_group


class ImageSet(NamedTuple):
    """Images to measure on."""

    name: str
    paths: tuple[Path, ...]


def main() -> None:
    """Print a table of the decisions on each set of images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sets",
        nargs="+",
        metavar="NAME=SOURCE",
        help="A folder of images, or TABLE.csv[:GROUP][?COLUMN=VALUE,...] with a column `image`. GROUP is the column "
        "of the patient and selects the test split of `recognizer.sources`; ?COLUMN=VALUE selects rows.",
    )
    parser.add_argument("--checkpoint", type=Path, default=EMBEDDED)
    parser.add_argument("--base", metavar="NAME", help="Base of a checkpoint that is an adapter.")
    parser.add_argument("--variants", action="store_true", help="Also rotate and invert every image.")
    options = parser.parse_args()
    model = load_checkpoint(options.checkpoint, base=options.base).model
    if model.recognizer is None:
        parser.error(f"{options.checkpoint} has no image recognizer")
    table = Table(title="Decisions of the image recognizer")
    for heading in ("set", "images", "unreadable", "refused", "95% interval", *model.recognizer.config.classes):
        table.add_column(heading, justify="left" if heading == "set" else "right")
    for image_set in map(parse_set, options.sets):
        for variant in ("", "rotated 90", "rotated 180", "rotated 270", "inverted") if options.variants else ("",):
            table.add_row(*_measure(model, model.recognizer, image_set, variant))
    print_table(table)


def parse_set(text: str) -> ImageSet:
    """Parse `NAME=FOLDER`, `NAME=TABLE.csv`, `NAME=TABLE.csv:GROUP` or `NAME=TABLE.csv:GROUP?COLUMN=VALUE,VALUE`."""
    name, _, source = text.partition("=")
    source, _, condition = source.partition("?")
    source, _, group = source.partition(":")
    path = Path(source)
    if not path.is_file():
        return ImageSet(name, tuple(sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)))
    column, _, values = condition.partition("=")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not column or row[column] in values.split(",")]
    used = (row for row in rows if not group or split_of_group(row[group]) == "test")
    return ImageSet(name, tuple(path.parent / row["image"] for row in used))


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95% interval of a proportion (Wilson, 1927)."""
    z, share = 1.96, successes / trials
    center = share + z**2 / (2 * trials)
    half = z * ((share * (1 - share) + z**2 / (4 * trials)) / trials) ** 0.5
    return (center - half) / (1 + z**2 / trials), (center + half) / (1 + z**2 / trials)


def _measure(model: ReportModel, recognizer: ImageRecognizer, image_set: ImageSet, variant: str) -> Iterator[str]:
    """Yield the cells of a row of the table."""
    encoder = model.config.encoder
    transform = ImageTransform.from_config(encoder, model.config.preprocessing)
    counts: Counter[str] = Counter()
    unreadable = 0
    for path in track(image_set.paths, total=len(image_set.paths), description=f"{image_set.name} {variant}"):
        try:
            pixels = _change(read_pixels(path), variant)
        except StudyError as error:
            print_error(str(error))
            unreadable += 1
            continue
        if not pixels.any():
            unreadable += 1
            continue
        square, _ = transform.fit(np.ascontiguousarray(pixels))
        with torch.inference_mode():
            (recognition,) = recognizer.recognize(model.encoder(transform.normalize(square[None])))
        counts[recognition.image_class] += 1
    total = counts.total()
    low, high = wilson_interval(counts["foreign"], total) if total else (0.0, 1.0)
    yield f"{image_set.name} {variant}".strip()
    yield from (str(total), str(unreadable), f"{counts['foreign'] / max(total, 1):.1%}", f"{low:.1%} to {high:.1%}")
    yield from (str(counts[name]) for name in recognizer.config.classes)


def _change(pixels: NDArray[np.float32], variant: str) -> NDArray[np.float32]:
    if variant.startswith("rotated"):
        return np.rot90(pixels, int(variant.split()[1]) // 90)
    return 1 - pixels if variant == "inverted" else pixels


if __name__ == "__main__":
    main()
