"""Image files are decoded for the cache as for a draft."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.bench.reading import _compress
from report_gen_training.data import image_decoding

from report_gen.imaging import gdcm
from report_gen.imaging.transform import ImageTransform
from report_gen.phantom import write_phantom


def test_jpeg_lossless_images_share_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    popen = subprocess.Popen

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(1)
        return popen(*arguments, **options)

    monkeypatch.setattr(gdcm.subprocess, "Popen", counted)
    image_decoding._gdcm.cache_clear()
    transform = ImageTransform(size=16, channels=1, mean=0.0, std=1.0)
    plain = [write_phantom(tmp_path, rows=40, columns=32, seed=seed) for seed in range(2)]
    lossless = [_compress(path, "JPEGLosslessProcess14_1") for path in plain]
    expected, found = (
        [image_decoding.decode(str(path), transform, set) for path in paths] for paths in (plain, lossless)
    )
    assert [one.payload for one in found] == [one.payload for one in expected]  # type: ignore[union-attr]
    assert len(started) == 1
    image_decoding._gdcm.cache_clear()
