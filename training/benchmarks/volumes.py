"""Measure what volumes cost: `python -m report_gen_training.benchmarks.volumes --slices 60 300 1000`.

Series of CT slices are written, and each step runs in a process of its own: reading the headers and ordering the
slices, choosing and loading 16 views as `report-gen series` does, and resampling to voxels of 1 mm slice by slice.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from rich.table import Table

from report_gen import read_study
from report_gen.imaging.volumes import SliceStack, find_stacks, open_volume, plan_grid, resampled_slices, stack_views
from report_gen.terminal import print_table, track

from .formats import peak_memory

_UID = "1.2.826.0.1.3680043.8.498.2"
_FIELD = 350.0
"""Side of the field of view, millimeters."""
_VIEWS = 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a series of each length, measure the steps, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[60, 300, 1000], help="numbers of slices")
    parser.add_argument("--size", type=int, default=512, help="side of a slice, pixels")
    parser.add_argument("--length", type=float, default=300.0, help="length of the scan, millimeters")
    options = parser.parse_args(arguments)
    table = Table(title=f"slices of {options.size} x {options.size}, scan of {options.length:g} mm")
    for heading in ("slices", *(f"{step}, {unit}" for step in STEPS for unit in ("CPU s", "MB"))):
        table.add_column(heading, justify="right")
    for slices in track(options.slices, total=len(options.slices), description="series"):
        with tempfile.TemporaryDirectory() as folder:
            write_series(Path(folder), slices, size=options.size, length=options.length)
            costs = [_in_new_process(step, Path(folder)) for step in STEPS]
        table.add_row(
            str(slices), *(cell for seconds, memory in costs for cell in (f"{seconds:.2f}", f"{memory / 1e6:.0f}"))
        )
    print_table(table)


def write_series(folder: Path, slices: int, *, size: int, length: float) -> None:
    """Write a CT of noise around 40 HU in a cylinder of air.

    Args:
        folder: Folder of the files.
        slices: Number of slices.
        size: Rows and columns.
        length: Length of the scan, millimeters.
    """
    random = np.random.default_rng(0)
    rows, columns = np.indices((size, size))
    is_body = np.hypot(rows - size / 2, columns - size / 2) < 0.4 * size
    for number in range(slices):
        noise = random.normal(40, 20, (size, size))
        values = np.where(is_body, noise, -1000).astype(np.int16)
        _slice(values, number, spacing=_FIELD / size, height=number * length / slices).save_as(
            folder / f"{number:05}.dcm", enforce_file_format=True
        )


def _slice(
    values: np.ndarray[tuple[int, int], np.dtype[np.int16]], number: int, *, spacing: float, height: float
) -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    attributes: dict[str, object] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{_UID}.{number + 1}",
        "StudyInstanceUID": _UID,
        "SeriesInstanceUID": f"{_UID}.0",
        "Modality": "CT",
        "BodyPartExamined": "CHEST",
        "InstanceNumber": number + 1,
        "ImagePositionPatient": [0, 0, round(height, 4)],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [round(spacing, 6)] * 2,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": values.shape[0],
        "Columns": values.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": values.tobytes(),
    }
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    return dataset


def _order(folder: Path) -> SliceStack:
    """Read the headers and order the slices."""
    (stack,) = find_stacks(read_study(folder)).stacks
    return stack


def _views(folder: Path) -> None:
    """Choose and load the views of the stack."""
    stack_views(open_volume(_order(folder)), _VIEWS)


def _resample(folder: Path) -> None:
    """Resample the stack to voxels of 1 mm, slice by slice."""
    stack = _order(folder)
    image = stack.images[0]
    for _ in resampled_slices(open_volume(stack), plan_grid(stack, (image.rows, image.columns), 1.0)):
        pass


STEPS: dict[str, Callable[[Path], object]] = {"order": _order, f"{_VIEWS} views": _views, "1 mm voxels": _resample}
"""Steps by name; each includes the first."""


def _in_new_process(step: str, folder: Path) -> tuple[float, int]:
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, step, folder).result()


def measure(step: str, folder: Path) -> tuple[float, int]:
    """Return the CPU seconds of a step, and the peak of the resident memory of this process, bytes."""
    start = time.process_time()
    STEPS[step](folder)
    return time.process_time() - start, peak_memory()


if __name__ == "__main__":
    main()
