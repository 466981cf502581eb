"""Curves show the numbers of the log."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from matplotlib.axes import Axes
from report_gen_training.monitoring.curves import draw_curves, plot_curves
from report_gen_training.monitoring.history import StageHistory, read_history

from report_gen.errors import UsageError

LOSSES = [4.0, 3.0, 3.5, 2.0, 1.0, 1.5]
SCORES = {"macro F1, 14 findings, uncertain+": 0.25, "CIDEr-D": 0.5}


def step(stage: str, number: int, loss: float) -> dict[str, Any]:
    return {"kind": "step", "stage": stage, "step": number, "loss": loss, "rates": {"decoder": 1e-3 / number}}


def validation(stage: str, number: int, loss: float | None, **more: Any) -> dict[str, Any]:
    return {"kind": "validation", "stage": stage, "step": number, "loss": loss} | more


def two_stages() -> list[dict[str, Any]]:
    records = [
        {"kind": "stage", "stage": "image_encoder", "step": 0, "bf16": False},
        validation("image_encoder", 0, 5.0, chosen=True),
    ]
    records += [step("image_encoder", number, loss) for number, loss in enumerate(LOSSES, start=1)]
    records += [
        validation("image_encoder", 6, 4.5, chosen=False),
        step("decoder", 1, 9.0),
        step("decoder", 2, float("nan")),
    ]
    return [*records, validation("decoder", 2, None, scores=SCORES, distinct=0.04, collapsed=True, chosen=True)]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines = [json.dumps(record) + "\n" for record in two_stages()]
    (tmp_path / "log.jsonl").write_text("".join(lines) + '{"kind": "step", "sta')
    return tmp_path / "log.jsonl"


def drawn(axes: Axes, label: str) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines if line.get_label() == label]


def test_the_charts_show_the_numbers_of_the_log(log: Path) -> None:
    losses, scores, diversity, rates = plot_curves(read_history(log), {"decoder": 0.1}, title="tiny").axes
    assert drawn(losses, "validation") == [([0, 6], [5.0, 4.5])]
    assert drawn(losses, "_kept") == [([0], [5.0])]
    assert drawn(scores, "CIDEr-D") == [([8], [0.5])]
    assert drawn(diversity, "drafts") == [([8], [0.04])]
    assert drawn(diversity, "minimum") == [([6, 8], [0.1, 0.1])]
    assert drawn(diversity, "collapse") == [([8], [0.04])]
    assert drawn(rates, "decoder")[1] == ([7, 8], [1e-3, 5e-4])
    assert rates.get_xlim() == (0, 8)
    assert [text.get_text() for text in losses.texts] == ["image_encoder", "decoder"]


def test_the_parts_of_a_validation_loss_are_drawn_if_it_has_several(tmp_path: Path) -> None:
    one = validation("all", 0, 5.0, losses={"findings": 5.0})
    several = validation("all", 2, 5.0, losses={"findings": 2.0, "attention": 3.0})
    for record, names in ((one, []), (several, ["validation, findings", "validation, attention"])):
        (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n")
        chart = plot_curves(read_history(tmp_path / "log.jsonl"), {}, title="tiny").axes[0]
        labels = [str(line.get_label()) for line in chart.lines]
        assert [label for label in labels if label.startswith("validation,")] == names
    assert drawn(chart, "validation, attention") == [([2], [3.0])]


def test_names_in_a_script_that_the_font_lacks_are_drawn_without_a_warning() -> None:
    history = StageHistory("\u80ba", {1: {"loss": 1.0}})  # pytest turns the warning of matplotlib into an error
    assert draw_curves([history], {}, title="\u80f8").startswith(b"\x89PNG")


def test_the_smoothed_loss_is_a_running_mean() -> None:
    history = StageHistory("all", {number: {"loss": float(number % 2)} for number in range(1, 101)})
    losses = plot_curves([history], {}, title="tiny").axes[0]
    ((_, smooth),) = drawn(losses, "training, smoothed")  # a twentieth of 100 steps: the mean of five
    np.testing.assert_allclose(smooth[2:-2], [0.6 if number % 2 else 0.4 for number in range(3, 99)])


def test_a_repeated_step_counts_with_its_last_record(log: Path) -> None:
    log.write_text("\n".join(json.dumps(step("all", 1, loss)) for loss in (3.0, 2.0)) + "\n[1]\nnonsense\n")
    (stage,) = read_history(log)
    assert {number: record["loss"] for number, record in stage.steps.items()} == {1: 2.0}


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"\0" * 100,
        *(
            json.dumps(validation("all", 1, 1.0) | wrong).encode()
            for wrong in (
                {"stage": 7},
                {"step": "1"},
                {"step": True},
                {"step": -1},
                {"step": 10**30},
                {"loss": "low"},
                {"losses": {"report": "low"}},
                {"scores": 5},
                {"scores": {"CIDEr-D": [1]}},
                {"rates": [1]},
                {"accuracies": "x"},
                {"distinct": {}},
                {"collapsed": 3},
            )
        ),
    ],
)
def test_malformed_lines_of_the_log_are_skipped(log: Path, line: bytes) -> None:
    before = read_history(log)
    log.write_bytes(line + b"\n" + log.read_bytes())
    assert repr(read_history(log)) == repr(before)  # NaN equals nothing


@pytest.mark.parametrize("history", [[], [StageHistory("$\\frac 心", {1: {"loss": float("nan")}}, {})]])
def test_a_run_without_data_yet_has_a_plot(history: list[StageHistory]) -> None:
    assert PIL.Image.open(io.BytesIO(draw_curves(history, {}, title="a $name"))).size == (1100, 1200)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"log\.jsonl: cannot be read \(No such file or directory\)"):
        read_history(tmp_path / "log.jsonl")
