"""`report-gen bench`: alternating rounds, ratios, equal results, new processes, the command, JSON and plot."""

from __future__ import annotations

import inspect
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
from report_gen_training.bench import generation, pairs, reading, scoring, startup
from report_gen_training.bench.command import _USES, bench
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
from tests.builders import corner_image, tiny_config, tiny_model, write_checkpoint, write_png


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
    with pytest.raises(
        ReportGenError, match="report-gen score ended with exit code 2; run this command to see its error"
    ):
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
    assert "speedup" in out
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
    assert "missing.png" in command("generation", "--study", "missing.png", code=3)
    assert "--rounds" in command("generation", "--rounds", "1", code=2)
    assert "pycocoevalcap cannot be compared in generation" in command(
        "generation", "--against", "pycocoevalcap", code=2
    )
    assert "onnxruntime cannot be compared in scoring" in command("scoring", "--against", "onnxruntime", code=2)
    assert "none.csv: cannot be read" in command("scoring", "--reports", "none.csv", code=3)


@pytest.mark.parametrize("package", ["pycocoevalcap", "rouge_score"])
def test_a_missing_package_is_named_with_its_extra(
    command: Callable[..., str], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(scoring, "find_spec", lambda name: None if name == package else find_spec(name))
    out = command("scoring", "--against", "pycocoevalcap", code=2)
    assert f"--against pycocoevalcap needs {package}; install it with: pip install 'report-gen[bench]'" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("startup --plot x.png", "--plot has no effect on startup; leave it out"),
        ("reading --frozen", "--frozen has no effect on reading; leave it out"),
        ("training --clock cpu", "--clock has no effect on training; leave it out"),
        ("--corpus x", "--corpus has an effect only on training; name it, or leave --corpus out"),
        ("--tune --rounds 3", "--rounds has no effect on --tune; leave it out"),
        ("--tune --frozen", "--frozen has no effect on --tune; leave it out"),
        ("--tune --pairs 3", "--pairs has no effect on --tune; leave it out"),
        ("--tune --json x.json", "--json has no effect on --tune; leave it out"),
        ("reading --tune", "--tune measures drafts only; leave the work out"),
    ],
)
def test_options_without_effect_are_refused(command: Callable[..., str], arguments: str, message: str) -> None:
    assert message in command(*arguments.split(), code=2)


def test_every_option_is_checked() -> None:
    options = {f"--{name}" for name in inspect.signature(bench).parameters} - {
        "--work",
        "--tune",
        "--verbose",
        "--quiet",
    }
    assert {option.replace("--studies", "--study").replace("--json_file", "--json") for option in options} == set(_USES)


@pytest.mark.parametrize(
    ("json_file", "plot", "message", "code"),
    [
        ("x", "x", "--json and --plot name the same file, x; give two names", 2),
        ("x", "folder/../x", "--json and --plot name the same file, folder/../x; give two names", 2),
        ("folder", "x", "folder: cannot be written, because it is a folder", 5),
        ("x", "folder", "folder: cannot be written, because it is a folder", 5),
        ("/proc/x", "x", "/proc: cannot be written", 5),
        ("earlier/x", "x", "earlier: cannot be written, because a file has the name of a folder", 5),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_the_measurement(
    command: Callable[..., str], tmp_path: Path, json_file: str, plot: str, message: str, code: int
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "earlier").write_text("earlier", encoding="utf-8")
    assert message in command("generation", "--checkpoint", "no-such", "--json", json_file, "--plot", plot, code=code)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["earlier", "folder"]
    assert (tmp_path / "earlier").read_text(encoding="utf-8") == "earlier"


def test_a_folder_of_several_studies(command: Callable[..., str], tmp_path: Path) -> None:
    for number in range(7):
        write_png(tmp_path / "images" / f"patient-{number}.png", corner_image(number % 4))
    out = command("generation", "--study", "images", code=3)
    assert "images: contains 7 studies; give the folder or file of each with a --study of its own" in out


@pytest.mark.parametrize("checkpoint", ["checkpoint", "chest_xray"])
def test_a_draft_starts_with_a_checkpoint_in_the_working_folder(
    command: Callable[..., str], small: Path, checkpoint: str
) -> None:
    assert small == Path.cwd() / "checkpoint"
    assert "report-gen draft" in command("startup", "--checkpoint", checkpoint, "--rounds", "2")


def test_the_results_before_an_error_are_written(
    command: Callable[..., str], small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(name="x", units=1, unit="image", ours=lambda: None, theirs=lambda: None)
    monkeypatch.setattr(generation, "generation_cases", lambda *_, **__: [case])
    monkeypatch.setattr(reading, "reading_cases", lambda *_, **__: [case])
    monkeypatch.setattr(startup, "_MAIN", "raise SystemExit(4)")
    files = ("--json", "times.json", "--plot", "times.png")
    out = command("--checkpoint", str(small), "--rounds", "2", *files, code=1)
    assert "report-gen --help ended with exit code 4" in out
    assert "Milliseconds per image" in out
    found = json.loads((tmp_path / "times.json").read_text(encoding="utf-8"))
    assert [row["case"] for work in ("generation", "reading") for row in found[work]] == ["x", "x"]
    assert (tmp_path / "times.png").exists()


def test_an_error_without_results_writes_no_file(command: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "times.json").write_text("earlier", encoding="utf-8")
    command("--checkpoint", "no-such", "--json", "times.json", code=4)
    assert (tmp_path / "times.json").read_text(encoding="utf-8") == "earlier"
