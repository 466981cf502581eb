"""The benchmark of the output formats prints the costs of each."""

from __future__ import annotations

import pytest
from report_gen_training.benchmarks.formats import main

from report_gen.records import BANNER


def test_the_costs_of_two_formats(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--reports", "3", "--size", "64", "--format", "txt", "hl7"])
    out = capsys.readouterr().out
    assert "one report and 3 reports, radiograph of 64 x 64" in out
    rows = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│")]
    costs = {name: [float(cell.replace(",", "")) for cell in cells] for name, *cells in rows if name in ("txt", "hl7")}
    for first_seconds, first_memory, size, seconds, memory, total in costs.values():
        assert 0 <= first_seconds <= seconds
        assert 10 < first_memory <= memory < 2000  # MB: Python with numpy and pydicom takes some ten
        assert len(BANNER) < size < 20_000
        assert total == pytest.approx(3 * size / 1e6, abs=0.006)
    assert costs["txt"][2] < costs["hl7"][2]
