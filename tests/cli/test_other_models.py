"""`report-gen draft` and `evaluate` with a model that is not of report-gen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.backends.stub_endpoint import Stub, completion, json_answer, stub_endpoint
from tests.builders import noise_image, write_manifest, write_png
from tests.cli.conftest import Command
from tests.cli.test_start import DATA_LIBRARIES, MODEL_LIBRARIES, loaded_modules

REPORT = "FINDINGS: There is a left pleural effusion. The heart is normal. IMPRESSION: Pleural effusion."


def describe(folder: Path, stub: Stub) -> Path:
    path = folder / "model.toml"
    path.write_text(f'name = "Stub"\nbackend = "endpoint"\nmodel = "m"\nurl = "{stub.url}"\n')
    return path


def test_studies_are_drafted_and_a_refusal_is_an_error_of_its_study(report_gen: Command, tmp_path: Path) -> None:
    for number, name in enumerate(("chest", "hand", "knee")):
        write_png(tmp_path / "in" / f"{name}.png", noise_image(number))
    answers = [completion(REPORT), completion("I'm sorry, but I can't assist with that."), completion(REPORT)]
    with stub_endpoint(*answers) as stub:
        options = ["--checkpoint", describe(tmp_path, stub), "-o", tmp_path / "out", "--format", "json"]
        answer = report_gen("draft", tmp_path / "in", *options)
    assert answer.code == 3
    assert "hand.png: the model refused to write a report: \"I'm sorry, but I can't assist with that.\"" in answer.err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == ["chest.json", "knee.json"]
    document = json.loads((tmp_path / "out" / "chest.json").read_text())
    assert document["sections"][1]["text"] == "Pleural effusion."
    assert len(stub.requests) == 3


def test_a_batch_that_was_stopped_continues(report_gen: Command, tmp_path: Path) -> None:
    for number, name in enumerate(("chest", "hand", "knee")):
        write_png(tmp_path / "in" / f"{name}.png", noise_image(number))
    with stub_endpoint(completion(REPORT), json_answer({}, status=400), completion(REPORT)) as stub:
        options = ["--checkpoint", describe(tmp_path, stub), "-o", tmp_path / "out"]
        assert report_gen("draft", tmp_path / "in", *options).code == 3
        assert report_gen("draft", tmp_path / "in", *options, "--resume").code == 0
    assert len(stub.requests) == 4


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--method", "beam"], "an endpoint has no beam search; choose the decoding method greedy or sample"),
        (["--finding", "Edema=present"], "the model takes no findings and attributes"),
        (["--attribute", "modality=CT"], "the model takes no findings and attributes"),
        (["--dtype", "bfloat16"], "device and data type are those of the server; leave both out"),
        (["--base", "x"], "a base is for adapters; leave it out"),
        (
            ["--attention", "a.png", "-o", "out"],
            "the model has no attention over findings to draw; leave the option out",
        ),
        (["--show-preprocessing", "a.png", "-o", "out"], "has no preprocessing steps that can be shown"),
    ],
)
def test_an_option_that_does_not_fit_is_one_sentence(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_png(tmp_path / "a.png", noise_image())
    with stub_endpoint(completion(REPORT)) as stub:
        answer = report_gen("draft", path, "--checkpoint", describe(tmp_path, stub), *options)
    assert answer.code == 2
    assert error in answer.err


def test_another_computer_needs_permission(report_gen: Command, tmp_path: Path) -> None:
    path = tmp_path / "model.toml"
    path.write_text('name = "Far"\nbackend = "endpoint"\nmodel = "m"\nurl = "https://gpu.example.org/v1"\n')
    answer = report_gen("draft", write_png(tmp_path / "a.png", noise_image()), "--checkpoint", path)
    assert answer.code == 2
    assert "--allow-remote" in answer.err


def test_a_model_is_evaluated_on_a_corpus(report_gen: Command, tmp_path: Path) -> None:
    stated = {"findings": "Left pleural effusion.", "split": "test"}
    rows = [{"id": str(number), "images": [f"{number}.png"], **stated} for number in range(4)]
    for number in range(4):
        write_png(tmp_path / "corpus" / f"{number}.png", noise_image(number))
    write_manifest(tmp_path / "corpus", rows)
    with stub_endpoint(completion(REPORT)) as stub:
        options = ["--bootstrap", 100, "--no-java", "--json", tmp_path / "scores.json"]
        answer = report_gen("evaluate", describe(tmp_path, stub), tmp_path / "corpus", *options)
    assert answer.code == 0, answer.err
    assert len(stub.requests) == 12  # own, shuffled and blank images
    drafts = json.loads((tmp_path / "scores.json").read_text())["drafts"]
    assert len(drafts) == 4


def test_an_endpoint_loads_no_library_for_models(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise_image())
    (tmp_path / "bad.toml").write_text('name = "x"\nbackend = "endpoint"\n')
    loaded = loaded_modules(["draft", str(tmp_path / "a.png"), "--checkpoint", str(tmp_path / "bad.toml")], exit_code=2)
    assert not loaded & (MODEL_LIBRARIES | DATA_LIBRARIES)


def test_a_model_that_refuses_gray_images_is_evaluated_on_its_other_drafts(report_gen: Command, tmp_path: Path) -> None:
    stated = {"findings": "Left pleural effusion.", "split": "test"}
    rows = [{"id": str(number), "images": [f"{number}.png"], **stated} for number in range(2)]
    for number in range(2):
        write_png(tmp_path / "corpus" / f"{number}.png", noise_image(number))
    write_manifest(tmp_path / "corpus", rows)
    with stub_endpoint(*[completion(REPORT)] * 4, completion("I'm sorry, but I can't see any image.")) as stub:
        options = ["--bootstrap", 100, "--no-java", "--json", tmp_path / "scores.json"]
        answer = report_gen("evaluate", describe(tmp_path, stub), tmp_path / "corpus", *options)
    assert answer.code == 0, answer.err
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert len(scores["drafts"]) == 2


def test_a_study_of_which_a_model_writes_no_report_counts_as_an_empty_draft(
    report_gen: Command, tmp_path: Path
) -> None:
    """Otherwise a model that refuses difficult studies would have better scores."""
    stated = {"findings": "Left pleural effusion.", "split": "test"}
    rows = [{"id": str(number), "images": [f"{number}.png"], **stated} for number in range(3)]
    for number in range(3):
        write_png(tmp_path / "corpus" / f"{number}.png", noise_image(number))
    write_manifest(tmp_path / "corpus", rows)
    with stub_endpoint(completion("I'm sorry, but I can't assist with that."), completion(REPORT)) as stub:
        options = ["--bootstrap", 100, "--no-java", "--json", tmp_path / "scores.json"]
        answer = report_gen("evaluate", describe(tmp_path, stub), tmp_path / "corpus", *options)
    assert answer.code == 3
    assert "0.png: the model refused to write a report" in answer.err
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert sorted(scores["drafts"].values())[0] == ""
    assert (scores["studies"], len(scores["without_draft"]), scores["refused"]) == (3, 1, [])
