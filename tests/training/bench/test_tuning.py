"""The choice of numbers and threads: by speed, among those whose drafts are as good."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_gen_training.bench import tuning
from report_gen_training.bench.command import bench
from report_gen_training.bench.tuning import DTYPES, Tried, fastest, try_settings

from report_gen.errors import CheckpointError, OutputError
from report_gen.imaging import read_study
from report_gen.model import manifest_digest
from report_gen.model import tuning as remembered
from report_gen.model.tuning import Tuning, find_tuning
from tests.builders import corner_image, tiny_model, write_checkpoint, write_png


def tried(dtype: str, seconds: float, *, equal: float = 1.0, high: float = 0.0) -> Tried:
    settings = Tuning(dtype=dtype, threads=1)  # type: ignore[arg-type]
    return Tried(tuning=settings, seconds=seconds, equal=equal, difference=(0.0, 0.0, high))


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        ([tried("int8", 0.5)], "int8"),
        ([tried("int8", 1.5)], "float32"),
        ([tried("int8", 0.5, equal=0.7, high=0.05)], "int8"),
        ([tried("int8", 0.5, equal=0.7, high=0.06)], "float32"),
        ([tried("int8", 0.5, equal=0.7, high=0.06), tried("bfloat16", 0.9, equal=0.9, high=0.01)], "bfloat16"),
    ],
)
def test_the_fastest_that_drafts_as_well_is_chosen(others: list[Tried], chosen: str) -> None:
    assert fastest([tried("float32", 1.0), *others]).tuning.dtype == chosen


def test_all_numbers_are_tried_with_one_and_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    checkpoint = write_checkpoint(tmp_path / "tiny")
    studies = [read_study(write_png(tmp_path / f"{n}.png", corner_image(n))) for n in range(3)]
    found = list(try_settings(str(checkpoint), studies, timed=1))
    assert [(one.tuning.dtype, one.tuning.threads) for one in found] == [(name, n) for name in DTYPES for n in (1, 2)]
    assert used == [1, 2, 2] * 3
    assert all(one.seconds > 0 for one in found)
    assert all(one.equal == 1 and one.difference == (0, 0, 0) for one in found[:2])


def test_the_command_remembers_what_drafts_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    image = write_png(tmp_path / "image.png", corner_image(0))
    bench(tune=True, checkpoint=str(checkpoint), studies=[image, image])
    printed = " ".join(capsys.readouterr().out.split())
    assert "Default drafts of 2 studies" in printed
    assert printed.count("chosen") == 1
    found = find_tuning(manifest_digest(checkpoint))
    assert found is not None
    assert found.dtype in DTYPES


def test_numbers_that_give_no_draft_are_not_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder gives values that are not finite in bfloat16, but not in float32."""
    monkeypatch.setattr(tuning, "DTYPES", DTYPES[:2])
    monkeypatch.setenv("COLUMNS", "200")
    model = tiny_model()
    with torch.no_grad():
        model.decoder.language_model.transformer.h[0].mlp.c_fc.weight *= 1e30
    checkpoint = write_checkpoint(tmp_path / "tiny", model=model)
    bench(tune=True, checkpoint=str(checkpoint), studies=[write_png(tmp_path / "image.png", corner_image(0))])
    printed = " ".join(capsys.readouterr().out.split())
    assert "failed: the decoder of model 'tiny' gives values that are not finite" in printed
    found = find_tuning(manifest_digest(checkpoint))
    assert found is not None
    assert found.dtype == "float32"


def test_a_checkpoint_without_drafts_in_float32_is_an_error(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        for layer in (model.decoder.language_model.transformer.h[0].mlp.c_fc, model.decoder.language_model.lm_head):
            layer.weight *= 1e38
    checkpoint = write_checkpoint(tmp_path / "tiny", model=model)
    with pytest.raises(CheckpointError, match="not finite"):
        bench(tune=True, checkpoint=str(checkpoint), studies=[write_png(tmp_path / "image.png", corner_image(0))])


def test_a_cache_that_cannot_be_written_is_refused_before_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny")
    monkeypatch.setattr(remembered, "user_cache_path", lambda *_, **__: checkpoint / "config.json")
    with pytest.raises(OutputError, match=r"config\.json.*: cannot be written"):
        bench(tune=True, checkpoint=str(checkpoint), studies=[tmp_path / "missing.png"])
