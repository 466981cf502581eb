"""Compare the rendering of DICOM files with DCMTK's, and print the comparison as a table.

    python -m tests.dcmtk [FOLDER ...] > table.md

Without folders, the files of the installed pydicom are compared. DCMTK has no decoder for JPEG 2000, so pydicom
decompresses such files before DCMTK renders them. The exit code is 1 if a rendering differs and `REASONS` does not say
why.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import pydicom
from numpy.typing import NDArray
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, JPEG2000TransferSyntaxes

from report_gen.errors import NotAnImageError, StudyError
from report_gen.imaging.decoder_settings import configure_decoders
from report_gen.imaging.dicom import describe_dicom, read_dicom_image
from report_gen.imaging.dicom_file import is_dicom

PROGRAMS = ("dcmj2pnm", "dcml2pnm")
"""Programs of DCMTK that render: all syntaxes but JPEG-LS, and JPEG-LS."""

OUTCOMES = ("equal", "differs", "only ours", "only DCMTK", "refused by both")
"""Equal renderings, different ones, and files that one or both refuse."""

TOLERANCE = 1 / 255
"""Largest difference of two equal renderings: one gray level of a display of 8 bits."""

_SATURATED_WINDOW = "the window shows every pixel white; ours shows the range of the values, with a notice"
_SEGMENTED_PALETTE = "DCMTK supports no segmented palettes"
_NO_32_BIT_COLOR = "DCMTK renders no color of 32 bits"

REASONS = {
    "77654033/CT2/17166": _SATURATED_WINDOW,
    "77654033/CT2/17196": _SATURATED_WINDOW,
    "JPEG2KLossless_1s_1f_u_16_16.dcm": _SATURATED_WINDOW,
    "rtdose_expb_1frame.dcm": "DCMTK swaps big endian values of 32 bits by words; ours equals rtdose_1frame.dcm",
    "SC_rgb_jpeg.dcm": "DCMTK refuses a data set whose encoding contradicts its transfer syntax",
    "gdcm-US-ALOKA-16.dcm": _SEGMENTED_PALETTE,
    "gdcm-US-ALOKA-16_big.dcm": _SEGMENTED_PALETTE,
    "SC_rgb_32bit.dcm": _NO_32_BIT_COLOR,
    "SC_rgb_expb_32bit.dcm": _NO_32_BIT_COLOR,
}
"""Why our rendering of a file differs from DCMTK's, by the end of its path."""

_JPEG2000 = (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
_LUMA = np.array([0.299, 0.587, 0.114])
_FIRST_VOI = (("+Wl", "1"), ("+Wi", "1"), ("+Wm",))
"""The first VOI LUT, else the first window, else the range of the values."""


@dataclass(frozen=True)
class Comparison:
    """Our rendering of one file beside DCMTK's."""

    path: Path
    outcome: str
    """One of `OUTCOMES`."""
    detail: str
    """The reason of the refusal, the reason of the difference, or the largest difference."""

    @property
    def is_explained(self) -> bool:
        """Whether the renderings are equal, or differ or are refused for a known reason."""
        return self.outcome in ("equal", "only DCMTK", "refused by both") or bool(_reason(self.path))


def has_dcmtk() -> bool:
    """Return whether the programs of DCMTK are installed."""
    return all(map(shutil.which, PROGRAMS))


def main(folders: list[str]) -> int:
    """Print the counts of each folder, and the files whose renderings are not equal. Return the exit code."""
    configure_decoders()
    compared = {folder: list(compare_folder(Path(folder))) for folder in folders}
    lines = [f"| folder | images | {' | '.join(OUTCOMES)} |", "|---" * (2 + len(OUTCOMES)) + "|"]
    for folder, comparisons in compared.items():
        counts = Counter(comparison.outcome for comparison in comparisons)
        numbers = [len(comparisons), *(counts[outcome] for outcome in OUTCOMES)]
        lines.append(f"| {folder} | {' | '.join(map(str, numbers))} |")
    lines += ["", "| file | outcome | reason |", "|---|---|---|"]
    everything = [comparison for comparisons in compared.values() for comparison in comparisons]
    lines += [
        f"| {comparison.path.name} | {comparison.outcome} | {comparison.detail} |"
        for comparison in everything
        if comparison.outcome != "equal"
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if all(comparison.is_explained for comparison in everything) else 1


def compare_folder(folder: Path) -> Iterator[Comparison]:
    """Compare every DICOM image below a folder, in the order of the paths. Files without pixels are left out."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            if is_dicom(file.read(132)) and (comparison := compare(path)):
                yield comparison


def compare(path: Path) -> Comparison | None:
    """Return the comparison of one file, or None if the file is no image."""
    try:
        first = describe_dicom(path, "").images[0]
        ours: NDArray[np.float32] | None = read_dicom_image(path, first.frame).pixels  # DCMTK renders the first frame
        refusal = ""
    except NotAnImageError:
        return None
    except StudyError as error:
        if "before its pixels" in error.reason:  # an image object without Pixel Data
            return None
        ours, refusal = None, error.reason
    theirs = render(path)
    if ours is None:
        return Comparison(path, "refused by both" if theirs is None else "only DCMTK", refusal)
    if theirs is None:
        return Comparison(path, "only ours", _reason(path))
    if ours.shape != theirs.shape:  # DCMTK keeps pixels that are not square
        image = PIL.Image.fromarray(theirs)
        theirs = np.asarray(image.resize(ours.shape[::-1], PIL.Image.Resampling.BILINEAR))
    difference = float(np.abs(ours - theirs).max())
    if difference <= TOLERANCE:
        return Comparison(path, "equal", "")
    return Comparison(path, "differs", _reason(path) or f"largest difference {difference:.4f}")


def render(path: Path) -> NDArray[np.float32] | None:
    """Return DCMTK's rendering [H,W] in 0..1 of the first frame, color as luma, or None if DCMTK refuses the file."""
    with tempfile.TemporaryDirectory() as folder:
        source = _without_jpeg2000(path, Path(folder))
        target = Path(folder, "image.pnm")
        for voi, program in itertools.product(_FIRST_VOI, PROGRAMS):
            command = [program, "--quiet", "-O", *voi, "+opn", "16", source, target]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0 and target.is_file():
                return _read_pnm(target)
    return None


def _without_jpeg2000(path: Path, folder: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        if dataset.file_meta.get("TransferSyntaxUID") not in _JPEG2000 or "PixelData" not in dataset:
            return path
        for plugin in ("pylibjpeg", "pillow"):
            try:
                dataset.decompress(decoding_plugin=plugin)
            except (NotImplementedError, RuntimeError, ValueError):
                continue
            target = folder / "decompressed.dcm"
            dataset.save_as(target)
            return target
    return path


def _read_pnm(path: Path) -> NDArray[np.float32]:
    kind, columns, rows, peak, *values = path.read_bytes().split()
    samples = np.array(values, dtype=np.float64) / int(peak)
    if kind == b"P3":
        samples = samples.reshape(-1, 3) @ _LUMA
    return samples.reshape(int(rows), int(columns)).astype(np.float32)


def _reason(path: Path) -> str:
    return next((reason for name, reason in REASONS.items() if path.as_posix().endswith(f"/{name}")), "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or [str(Path(pydicom.__file__).parent)]))
