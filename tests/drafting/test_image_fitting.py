"""Loading the images of a study: those that GDCM decodes share one process."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.bench.reading import _compress

from report_gen.drafting.image_fitting import fit_images
from report_gen.imaging import GdcmProcess, gdcm, read_study
from report_gen.imaging.transform import ImageTransform
from report_gen.phantom import write_phantom


def test_jpeg_lossless_images_share_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    popen = subprocess.Popen

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(1)
        return popen(*arguments, **options)

    monkeypatch.setattr(gdcm.subprocess, "Popen", counted)
    plain = [write_phantom(tmp_path, rows=40, columns=32, seed=seed) for seed in range(2)]
    lossless = [_compress(path, "JPEGLosslessProcess14_1") for path in plain]
    transform = ImageTransform(size=16, channels=1, mean=0.0, std=1.0)
    with GdcmProcess() as process:
        expected, found = (
            fit_images(
                transform, tuple(read_study(path).images[0] for path in paths), gdcm=process, check=lambda: None
            ).squares
            for paths in (plain, lossless)
        )
    assert torch.equal(found, expected)
    assert len(started) == 1
