"""`report-gen bench`: alternating rounds, ratios, equal results, new processes, the command, JSON and plot."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image
from report_gen_training.bench import generation, pairs
from report_gen_training.bench.command import bench
from report_gen_training.bench.exported_decoders import RUNTIMES
from report_gen_training.bench.generation import draw_studies, generation_cases, unknown_to_report_gen
from report_gen_training.bench.machine import describe_machine
from report_gen_training.bench.pairs import Case, Timing, time_case
from report_gen_training.bench.results import timing_table
from report_gen_training.bench.startup import measure_start

from report_gen.errors import ReportGenError
from report_gen.generation import Decoding, generate_tokens
from report_gen.model import load_checkpoint
from report_gen.terminal import run_app
from tests.builders import tiny_config, tiny_model, write_checkpoint


def test_ways_alternate_and_are_timed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []

    def work(name: str, seconds: float) -> Callable[[], str]:
        def run() -> str:
            calls.append(name)
            now[0] += seconds
            return "same"

        return run

    monkeypatch.setitem(pairs._CLOCKS, "wall", lambda: now[0])
    case = Case(name="x", units=4, unit="study", ours=work("a", 2.0), theirs=work("b", 6.0))
    timing = time_case(case, rounds=3)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert timing.seconds == (0.5,) * 3
    assert timing.other_seconds == (1.5,) * 3
    assert timing.ratio == 3
    assert timing.ratio_interval() == (3, 3)
    assert timing.same_results


def test_the_interval_of_the_ratio_contains_the_ratios_of_the_rounds_that_occur() -> None:
    """By hand: medians 2 and 6, ratio 3; no resampling gives less than 4 / 3 or more than 8 / 1."""
    timing = Timing(case="x", unit="study", seconds=(1.0, 2.0, 3.0), other_seconds=(4.0, 6.0, 8.0))
    assert timing.ratio == 3
    interval = timing.ratio_interval()
    assert interval is not None
    assert 4 / 3 <= interval[0] < 3 < interval[1] <= 8


def test_different_results_are_found() -> None:
    timing = time_case(Case(name="x", units=1, unit="text", ours=lambda: 1, theirs=lambda: 2), rounds=2)
    assert timing.same_results is False


def test_equal_items_are_counted() -> None:
    timing = time_case(Case(name="x", units=3, unit="text", ours=lambda: [1, 2, 3], theirs=lambda: [1, 5, 3]), rounds=2)
    assert (timing.same_results, timing.equal_units) == (False, 2)
    table = timing_table([timing], other="transformers")
    assert [list(column.cells) for column in table.columns][-1] == ["NO, 2 of 3"]


def test_one_way_has_no_ratio() -> None:
    timing = time_case(Case(name="x", units=1, unit="text", ours=lambda: None), rounds=2)
    assert (timing.other_median, timing.ratio, timing.ratio_interval(), timing.same_results) == (None,) * 4


def test_transformers_generates_for_a_decoder_of_an_unknown_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = unknown_to_report_gen(
        load_checkpoint(write_checkpoint(tmp_path / "checkpoint"), with_transformers=True)
    )
    monkeypatch.setattr(type(checkpoint.model.decoder.language_model), "generate", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate_tokens(
            checkpoint.model,
            visual_tokens=torch.zeros(1, 2, 32),
            visual_mask=torch.ones(1, 2, dtype=torch.bool),
            prompt_ids=[[9]],
            decoding=Decoding(max_tokens=3),
        )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkpoint and larger decoders that are small."""
    sizes = {
        "GPT-2": {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 512},
        "Llama": generation._SIZES["Llama, 111 million"]
        | {"hidden_size": 72, "intermediate_size": 20, "num_hidden_layers": 1},
    }
    monkeypatch.setattr(generation, "_SIZES", sizes)
    monkeypatch.setattr(generation, "RANDOM_DECODING", Decoding(max_tokens=4))
    decoder = {"width": 32, "layers": 1, "heads": 2, "positions": 128}
    return write_checkpoint(tmp_path / "checkpoint", model=tiny_model(tiny_config(decoder=decoder)))


def test_both_ways_generate_the_same_texts(small: Path, tmp_path: Path) -> None:
    studies = draw_studies(tmp_path, 2)
    cases = list(generation_cases(str(small), studies, against="transformers", sizes=True, folder=tmp_path))
    assert [case.units for case in cases] == [1, 8, 1, 8, 32, 1, 8, 32, 1, 1, 1, 1]
    timings = [time_case(case, rounds=1) for case in cases]
    assert all(timing.same_results for timing in timings)
    assert [timing.equal_units for timing in timings] == [case.units for case in cases]
    assert cases[0].ours()


def test_a_start_is_a_new_process(tmp_path: Path) -> None:
    start = measure_start("version", ["--version"], folder=tmp_path, rounds=2)
    assert len(start.seconds) == 2
    assert start.cpu_median > 0
    assert 10 < start.peak_mib < 200  # without the memory of this process
    with pytest.raises(ReportGenError, match="report-gen score ended with exit code 2; run it by hand"):
        measure_start("score", ["score"], folder=tmp_path, rounds=1)


def test_the_machine_is_described_without_its_name() -> None:
    machine = describe_machine()
    assert json.loads(json.dumps(machine)) == machine
    assert set(machine) == {
        "processor", "features", "cores", "threads", "memory_gib", "load", "gpu", "system", "packages",
    }  # fmt: skip


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(bench)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as stop:
            run_app(app)
        out, err = capsys.readouterr()
        assert int(stop.value.code or 0) == code, err
        assert "Traceback" not in err
        return " ".join((out + err).split())

    return run


@pytest.mark.parametrize(
    ("arguments", "cases"),
    [(["transformers"], 8), *(([runtime, "--sizes"], 7) for runtime in RUNTIMES)],
    ids=["transformers", *RUNTIMES],
)
def test_the_command_writes_json_and_a_plot(
    command: Callable[..., str], small: Path, tmp_path: Path, arguments: list[str], cases: int
) -> None:
    against = arguments[0]
    if against in RUNTIMES and not all(map(find_spec, (against, "onnx", "onnxscript"))):
        pytest.skip("needs ONNX Runtime and OpenVINO: pip install report-gen[bench]")
    out = command(
        "generation", "--against", *arguments, "--checkpoint", str(small), "--rounds", "2",
        "--json", "times.json", "--plot", "times.png",
    )  # fmt: skip
    assert "times faster" in out
    found = json.loads((tmp_path / "times.json").read_text())
    assert (found["against"], found["against_version"]) == (against, version(against))
    assert [len(row["seconds"]) for row in found["generation"]] == [2] * cases
    assert all(row["same_results"] and row["ratio"] > 0 for row in found["generation"])
    assert all(row["equal_units"] == row["units"] for row in found["generation"])
    assert Image.open(io.BytesIO((tmp_path / "times.png").read_bytes())).format == "PNG"
    if against in RUNTIMES:  # they decode greedily only
        assert all(row["case"].startswith("greedy") for row in found["generation"])


def test_wrong_calls(command: Callable[..., str]) -> None:
    assert "no-such: no such checkpoint folder" in command("generation", "--checkpoint", "no-such", code=4)
    assert "--plot draws the times of other works than startup" in command("startup", "--plot", "x.png", code=2)
    assert "missing.png" in command("generation", "--study", "missing.png", code=3)
    assert "--rounds" in command("generation", "--rounds", "1", code=2)
    assert "pycocoevalcap does no generation" in command("generation", "--against", "pycocoevalcap", code=2)
    assert "onnxruntime does no scoring" in command("scoring", "--against", "onnxruntime", code=2)
    assert "none.csv: cannot be read" in command("scoring", "--reports", "none.csv", code=3)
