"""A dry run: parameters, memory, time and first batch are measured correctly, and nothing is kept."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from report_gen_training.monitoring.dry_run import dry_run
from report_gen_training.monitoring.dry_run_results import DryRun, StageDryRun
from report_gen_training.monitoring.dry_run_tables import render_dry_run
from report_gen_training.monitoring.first_batch import FirstText
from report_gen_training.recipe.schema import Rates
from rich.console import Console

from report_gen.records import FindingState
from tests.builders import CORNERS, corner_image, tiny_recipe, write_corner_corpus


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> DryRun:
    """Two stages whose steps use all eight training studies, in two batches of four."""
    data = write_corner_corpus(tmp_path_factory.mktemp("data"), copies=2)
    stage = {"name": "decoder", "rates": {"decoder": 1e-3}, "accumulate": 2, "validation_drafts": 4}
    recipe = tiny_recipe(data, stage=stage)
    encoder = recipe.stages[0].model_copy(update={"name": "image_encoder", "rates": Rates(projector=1e-3)})
    before = set(Path(tempfile.gettempdir()).glob("report-gen-*"))
    result = dry_run(recipe.model_copy(update={"stages": (encoder, *recipe.stages)}), lambda *_: None)
    assert set(Path(tempfile.gettempdir()).glob("report-gen-*")) <= before
    return result


def test_parameters_and_their_memory(measured: DryRun) -> None:
    encoder, decoder = measured.stages
    assert encoder.trained == {"encoder": 0, "projector": measured.parameters["projector"], "decoder": 0}
    assert decoder.trained == {"encoder": 0, "projector": 0, "decoder": measured.parameters["decoder"]}
    most = max(measured.parameters["projector"], measured.parameters["decoder"])
    assert measured.estimated_bytes == 2 * 4 * sum(measured.parameters.values()) + 3 * 4 * most
    assert 2**26 < measured.peak_bytes < 2**36


def test_a_step_and_a_validation_are_measured(measured: DryRun) -> None:
    encoder, decoder = measured.stages
    assert (encoder.studies, decoder.studies) == (8, 8)
    assert encoder.tokens == decoder.tokens > 8
    assert min(encoder.seconds, decoder.seconds, encoder.validation_seconds, decoder.validation_seconds) > 0


def test_the_first_batch_decodes_to_the_corpus(measured: DryRun) -> None:
    for stage in measured.stages:
        texts = {text.report: text for text in stage.texts}
        assert texts.keys() == {f"FINDINGS: {findings} IMPRESSION: {impression}" for findings, impression in CORNERS}
        assert all(text.prompt.startswith("EXAMINATION: Chest X-ray.") for text in stage.texts)
        (enlarged,) = (text for report, text in texts.items() if "enlarged" in report)
        assert enlarged.states[FindingState.PRESENT] == ["Cardiomegaly"]
    for strip in measured.strips:
        images = dict(zip(strip.labels, strip.squares, strict=True))
        for corner in range(4):
            expected = torch.from_numpy(corner_image(corner).astype(np.float32) / 255)
            torch.testing.assert_close(images[f"train-{corner} UNKNOWN"], expected, atol=1e-6, rtol=0)


def test_the_hours_are_those_of_all_steps_and_validations() -> None:
    stage = tiny_recipe(Path(), stage={"name": "[/b] long", "steps": 1000, "validate_every": 300}).stages[0]
    text = FirstText(
        study_id="[red]7", states={FindingState.ABSENT: ["Edema"]}, prompt="Chest.", report="Clear.", tokens=9
    )
    measured = StageDryRun(
        stage=stage,
        trained={"encoder": 0, "decoder": 5_000_000},
        seconds=10.0,
        batch_seconds=0.02,
        studies=8,
        tokens=1200,
        validation_seconds=400.0,
        texts=[text],
    )
    assert measured.whole_seconds == 1000 * 10 + 5 * 400  # before the first step, after 300, 600, 900 and 1000
    parameters = {"encoder": 2_000_000, "decoder": 5_000_000}
    whole = DryRun(
        parameters=parameters,
        stages=[measured],
        estimated_bytes=2**20,
        peak_bytes=3 * 2**30,
        gpu_bytes=2**30,
        strips=[],
    )
    console = Console(width=80, file=io.StringIO())
    console.print(render_dry_run(whole))
    shown = console.file.getvalue()
    for text_shown in (
        "3.3 h",
        "20 ms",
        "5,000,000 trained",
        "frozen",
        "Peak GPU memory: 1.00 GiB",
        "study [red]7, 9 tokens",
    ):
        assert text_shown in shown
