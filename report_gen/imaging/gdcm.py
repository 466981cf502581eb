"""GDCM in a process of its own: on a damaged JPEG it ends the process that it runs in.

It is the one freely licensed decoder of lossless JPEG here. This file is also the program that the process runs, so it
imports nothing of report-gen.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array

SECONDS = 120
"""A chest film takes about a quarter of one."""
MEMORY = 4 * 2**30

_PADDED = b"premature end"
"""What libjpeg says when it makes up the pixels that a truncated stream lacks."""


def decode_with_gdcm(path: Path) -> NDArray[Any]:
    """Stored values [H,W] or [H,W,3] of the first frame of a compressed file.

    Raises:
        RuntimeError: the decoder refused, crashed, or padded the picture.
        subprocess.TimeoutExpired: the decoder did not come to an end.
    """
    command = [sys.executable, "-P", "-W", "ignore", __file__, str(path.resolve())]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)  # noqa: S603 - no shell, own program
    if done.returncode or _PADDED in done.stderr:
        raise RuntimeError(f"GDCM ended with {done.returncode}")
    return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def _main(path: str) -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    np.save(sys.stdout.buffer, pixel_array(path, decoding_plugin="gdcm", allow_excess_frames=False))


if __name__ == "__main__":
    _main(sys.argv[1])
