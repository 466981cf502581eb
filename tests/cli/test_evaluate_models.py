"""`report-gen evaluate` with several models: files, exit codes and messages."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError
from tests.builders import THRESHOLDS, noise_image, tiny_config, tiny_model, write_checkpoint, write_manifest, write_png
from tests.cli.conftest import Command
from tests.fixed_generator import loads

OPTIONS = ("--candidates", 1, "--method", "greedy", "--bootstrap", 100, "--no-java", "--no-nearest")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four studies with reports and labels."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number in range(4):
        write_png(folder / f"{number}.png", noise_image(number))
        findings = "The heart is enlarged." if number % 2 else "The lungs are clear."
        rows.append({"study_id": f"s{number}", "images": [f"{number}.png"], "findings": findings, "split": "test"})
    return write_manifest(folder, rows)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with other weights and the same name."""
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS}), seed=3)
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "second", model=model)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Drafter]]:
    """Functions that load models, by the names by which the command finds them."""
    known: dict[str, Callable[[], Drafter]] = {}

    def find(name: str) -> Any:
        return SimpleNamespace(load=lambda **_: known[name]().generator)

    monkeypatch.setattr("report_gen.drafting.model_source.find_source", find)
    monkeypatch.setattr("report_gen.drafting.find_source", find)
    return known


def texts(text: str) -> dict[str, str]:
    return dict.fromkeys("0123", text)


def test_checkpoints_are_compared_and_a_damaged_one_is_left_out(
    report_gen: Command, checkpoint: Path, second: Path, corpus: Path, tmp_path: Path
) -> None:
    damaged = write_checkpoint(tmp_path / "damaged")
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "html", "csv")}
    named = [argument for kind, path in files.items() for argument in (f"--{kind}", path)]
    answer = report_gen("evaluate", checkpoint, damaged, second, corpus, *OPTIONS, *named)
    assert answer.code == 4
    assert f"report-gen: {damaged}: {weights}: " in answer.err
    assert "second: shuffled images" in answer.err
    assert "4 studies, drafted by all 2 models" in answer.out
    document = json.loads(files["json"].read_text())
    assert list(document["models"]) == ["tiny (tiny)", "tiny (second)"]
    assert [one["given"] for one in document["failed"]] == [str(damaged)]
    alone = tmp_path / "alone.json"
    assert report_gen("evaluate", second, corpus, *OPTIONS, "--json", alone).code == 0
    expected = json.loads(alone.read_text())
    found = document["models"]["tiny (second)"]
    assert {key: found[key] for key in expected if key != "schema_version"} == {
        key: value for key, value in expected.items() if key != "schema_version"
    }
    with files["csv"].open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["model"] for row in rows] == ["tiny (tiny)"] * 4 + ["tiny (second)"] * 4
    assert "tiny (second)" in files["html"].read_text()


def test_the_files_are_written_after_each_model(
    report_gen: Command, corpus: Path, models: dict[str, Callable[[], Drafter]], tmp_path: Path
) -> None:
    out, seen = tmp_path / "out.json", []

    def look() -> Drafter:
        seen.extend(json.loads(out.read_text())["models"])
        raise CheckpointError("c: is damaged; copy it again")

    models |= {"a": loads(name="first", texts=texts("FINDINGS: The heart is enlarged.")), "c": look}
    models["b"] = loads(name="second", texts=texts("FINDINGS: The lungs are clear."), refused={"s1"})
    answer = report_gen("evaluate", "a", "b", "c", corpus, *OPTIONS, "--json", out)
    assert seen == ["first", "second"]
    assert answer.code == 4  # that of the failed model comes before that of the refused study
    assert "report-gen: c: c: is damaged; copy it again\n" in answer.err
    assert "report-gen: second: s1: is refused\n" in answer.err
    assert "3 studies, drafted by all 2 models" in answer.out
    document = json.loads(out.read_text())
    assert document["models"]["second"]["refused_studies"] == {"s1": "s1: is refused"}
    assert document["comparison"]["studies"] == ["s0", "s2", "s3"]


def test_refused_studies_have_the_exit_code_of_one_model(
    report_gen: Command, corpus: Path, models: dict[str, Callable[[], Drafter]]
) -> None:
    text = texts("FINDINGS: The lungs are clear.")
    models |= {"a": loads(name="a", texts=text), "b": loads(name="b", texts=text, refused={"s0"})}
    assert report_gen("evaluate", "a", "b", corpus, *OPTIONS).code == 3
    models["b"] = loads(name="b", texts=text)
    assert report_gen("evaluate", "a", "b", corpus, *OPTIONS).code == 0


def test_no_shared_studies_and_no_model(
    report_gen: Command, corpus: Path, models: dict[str, Callable[[], Drafter]], tmp_path: Path
) -> None:
    text, out = texts("FINDINGS: The lungs are clear."), tmp_path / "out.json"
    models |= {"a": loads(name="a", texts=text, refused={"s0", "s1"}), "b": loads(name="b", texts=text, refused={"s2"})}
    answer = report_gen("evaluate", "a", "b", corpus, *OPTIONS, "--json", out)
    assert (answer.code, answer.out) == (3, "")
    assert "fewer than two of 4 studies were drafted by all models" in answer.err
    assert list(json.loads(out.read_text())["models"]) == ["a"]  # what was finished before
    fault = loads(name="x", texts=text, fault=ValueError("of the model"))
    models |= {"a": fault, "b": fault}
    answer = report_gen("evaluate", "a", "b", corpus, *OPTIONS)
    assert (answer.code, answer.out) == (1, "")
    assert "report-gen: b: a fault of report-gen or of the model (ValueError); -vv shows where" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["one", "one"], 2, "one: the model is named twice; name every model once, and the corpus last"),
        (["embedded", "missing"], 4, "missing: no such checkpoint folder"),
        (["embedded", "ct_mr_slices", "--base", "gpt2"], 2, "--base is for adapters, and none of the models is one"),
        (["embedded", "ct_mr_slices", "--preset", "rwa"], 2, "no preset 'rwa'"),
        (
            ["embedded", "ct_mr_slices", "--calibration", "a.png"],
            2,
            "--calibration draws the probabilities of one model; leave it out, or name one model",
        ),
    ],
)
def test_mistakes_are_found_before_a_model_is_loaded(
    report_gen: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.setattr(
        "report_gen.drafting.model_source.CheckpointSource.load", lambda *_, **__: pytest.fail("loaded")
    )
    models = [one for one in arguments if not one.startswith("-")][:2]
    answer = report_gen("evaluate", *models, "corpus", *arguments[2:])
    assert (answer.code, answer.out) == (code, "")
    assert message in answer.err


def test_a_table_of_reports_needs_reports_and_a_page_does_not(
    report_gen: Command, models: dict[str, Callable[[], Drafter]], tmp_path: Path
) -> None:
    rows = [
        {"study_id": f"s{n}", "images": [str(write_png(tmp_path / f"{n}.png", noise_image(n)))], "edema": n % 2}
        for n in range(4)
    ]
    write_manifest(tmp_path, rows)
    text = texts("FINDINGS: The lungs are clear.")
    models |= {"a": loads(name="a", texts=text), "b": loads(name="b", texts=text)}
    answer = report_gen("evaluate", "a", "b", tmp_path, *OPTIONS, "--split", "all", "--csv", tmp_path / "out.csv")
    assert answer.code == 2
    assert "--csv shows reports, and none of these studies has a report with findings; use --json" in answer.err
    page = tmp_path / "out.html"
    assert report_gen("evaluate", "a", "b", tmp_path, *OPTIONS, "--split", "all", "--html", page).code == 0
    assert "Scores against the labels" in page.read_text()
