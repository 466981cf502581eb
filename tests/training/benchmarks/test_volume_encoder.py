"""The benchmark of the encoder of volumes prints shape, seconds and memory."""

from __future__ import annotations

import pytest
from report_gen_training.benchmarks.volume_encoder import main


@pytest.mark.parametrize("options", [(), ("--backward",)])
def test_the_cost_of_a_small_volume(capsys: pytest.CaptureFixture[str], options: tuple[str, ...]) -> None:
    main(["--encoder", "tiny_i3resnet", "--slices", "32", "--size", "64", *options])
    out = capsys.readouterr().out
    (row,) = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│ ")]
    slices, patches, width, seconds, megabytes = map(float, row)
    assert (slices, patches, width) == (32, 2 * 2 * 2, 128)
    assert 0 <= seconds < 60
    assert 50 < megabytes < 4000
