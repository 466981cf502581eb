"""Decode compressed pixels with GDCM in a separate process, because GDCM aborts its process on a damaged JPEG.

GDCM is the only installed decoder of lossless JPEG with a permissive license. The child process runs this file as a
script, so the file imports nothing of report-gen.
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

TIMEOUT_SECONDS = 120
"""Limit for one frame. A chest radiograph takes about 0.25 s."""
MEMORY_BYTES = 4 * 2**30
"""Limit on the address space of the child process."""

_PADDED = b"premature end"
"""Part of the message that libjpeg prints when it invents the pixels that a truncated stream lacks."""


def decode_with_gdcm(path: Path) -> NDArray[Any]:
    """Decode the first frame of a compressed file to stored values [H,W] or [H,W,3].

    Raises:
        RuntimeError: GDCM failed, crashed or padded a truncated image.
        subprocess.TimeoutExpired: GDCM did not finish in `TIMEOUT_SECONDS`.
    """
    command = [sys.executable, "-P", "-W", "ignore", __file__, str(path.resolve())]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)  # noqa: S603 - no shell, own program
    if done.returncode or _PADDED in done.stderr:
        raise RuntimeError(f"GDCM ended with {done.returncode}")
    return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def _main(path: str) -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    np.save(sys.stdout.buffer, pixel_array(path, decoding_plugin="gdcm", allow_excess_frames=False))


if __name__ == "__main__":
    _main(sys.argv[1])
