"""`report-gen evaluate`: scores of a corpus, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders import noise_image, write_manifest, write_png
from tests.cli.conftest import Command


def test_evaluating(report_gen: Command, checkpoint: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        write_png(tmp_path / "data" / f"chest-{number}.png", noise_image(number))
        rows.append({"study_id": str(number), "images": [f"chest-{number}.png"], "edema": number % 2, "split": "test"})
    write_manifest(tmp_path / "data", rows)
    arguments = ("evaluate", checkpoint, tmp_path / "data", "--candidates", 1, "--bootstrap", 100)
    answer = report_gen(*arguments, "--json", tmp_path / "figures.json")
    assert answer.code == 0
    assert "4 studies" in answer.out
    assert json.loads((tmp_path / "figures.json").read_text())["studies"] == 4
    refused = report_gen(*arguments, "--split", "val")
    assert (refused.code, refused.out) == (3, "")
    assert "fewer than two studies of split 'val'" in refused.err
