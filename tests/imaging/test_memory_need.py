"""The memory that an image needs by its header, against the peak that is measured while it is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import PIL.Image
import pytest
from pydicom.pixels.utils import compress
from pydicom.uid import JPEG2000Lossless, RLELossless

from tests.dicom_files import dicom, write_dicom

SIDE = 1500
MEASURE = """
import os, resource, sys
from report_gen.imaging import frames, load_pixels, load_values, nifti, raster, read_study

def load(path):
    image = read_study(path).images[-1]
    load_pixels(image)
    load_values(image)

def peak(path):
    used = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
    load(path)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - used

needs = []
for module, name in ((frames, "dicom_memory"), (nifti, "nifti_memory"), (raster, "raster_memory")):
    function = getattr(module, name)
    setattr(module, name, lambda *a, function=function: needs.append(function(*a)) or 1)
from pathlib import Path
for warm in sys.argv[1:4]:  # loads the decoders
    load(Path(warm))
for path in sys.argv[4:]:
    if not (child := os.fork()):  # a process of its own has a peak of its own
        measured = peak(Path(path))
        print(path, measured, max(needs), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


def image(dtype: Any, top: float, channels: int = 0) -> Any:
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)) / (2 * SIDE) * top
    values = (ramp + np.random.default_rng(0).random((SIDE, SIDE)) * top * 0.01).astype(dtype)
    return np.stack([values] * channels, -1) if channels else values


def write_all(folder: Path) -> None:
    twelve = image(np.uint16, 4000)
    write_dicom(folder / "small.dcm", np.arange(4, dtype=np.uint8).reshape(2, 2))
    PIL.Image.fromarray(image(np.uint8, 250)[:8, :8]).save(folder / "small.png")
    nibabel.Nifti1Image(image(np.int16, 250)[:8, :8, None], np.eye(4)).to_filename(folder / "small.nii.gz")
    nibabel.Nifti1Image(twelve.astype(np.int16)[..., None], np.eye(4)).to_filename(folder / "int16.nii")
    nibabel.Nifti1Image(image(np.float64, 1)[..., None], np.diag([1, 1.5, 1, 1])).to_filename(folder / "float64.nii.gz")
    several = np.stack([twelve] * 3)
    write_dicom(folder / "frames.dcm", twelve, NumberOfFrames=3, PixelData=several.tobytes(), BitsStored=12)
    write_dicom(folder / "gray8.dcm", image(np.uint8, 250))
    write_dicom(folder / "gray16.dcm", twelve, BitsStored=12)
    write_dicom(folder / "missed_bits.dcm", twelve, BitsStored=10)
    write_dicom(folder / "aspect.dcm", twelve, BitsStored=12, PixelAspectRatio=[3, 2])
    write_dicom(folder / "gray32.dcm", image(np.uint32, 2**31))
    floats = image(np.float64, 1).tobytes()
    write_dicom(
        folder / "float64.dcm", image(np.float64, 1), PixelData=None, DoubleFloatPixelData=floats, BitsStored=None
    )
    write_dicom(folder / "color16.dcm", image(np.uint16, 4000, 3), BitsStored=12)
    write_dicom(folder / "ybr.dcm", image(np.uint8, 250, 3), PhotometricInterpretation="YBR_FULL")
    for name, syntax in (("j2k.dcm", JPEG2000Lossless), ("rle.dcm", RLELossless)):
        dataset = dicom(image(np.uint8, 250, 3))
        compress(dataset, syntax)
        dataset.save_as(folder / name)
    PIL.Image.fromarray(image(np.uint8, 250)).save(folder / "gray.png")
    PIL.Image.fromarray(twelve).save(folder / "gray16.tif", compression="tiff_lzw")
    PIL.Image.fromarray(image(np.uint8, 250, 3)).convert("RGBA").save(folder / "transparent.png")
    PIL.Image.fromarray(image(np.uint8, 250, 3)).save(folder / "color.jpg")
    PIL.Image.fromarray(image(np.uint8, 250, 3)).save(folder / "color.webp")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, fork and the unit of ru_maxrss")
def test_the_need_is_never_less_than_the_peak_and_not_far_above_it(tmp_path: Path) -> None:
    write_all(tmp_path)
    small = {tmp_path / "small.dcm", tmp_path / "small.nii.gz", tmp_path / "small.png"}
    paths = [*sorted(small), *sorted(set(tmp_path.iterdir()) - small)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", MEASURE, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=True)
    lines = [line.rsplit(" ", 2) for line in done.stdout.splitlines()]
    assert len(lines) == len(paths) - 3
    overhead = 4e6  # modules and buffers of the decoders, whatever the size of the image is
    for path, peak, need in lines:
        assert int(peak) <= int(need) + overhead, (path, peak, need)
        assert int(need) <= 6 * int(peak), (path, peak, need)
