"""The modules for `evaluate.load`: offline, combined, with a card, and equal to the scores of `report-gen score`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from report_gen.errors import UsageError
from report_gen.metrics import METRICS, PROBABILITY_METRICS, ScoreOptions, metric_folder, run_score, score_head
from report_gen.metrics.meteor import find_meteor

ROOT = Path(__file__).parents[2]
PRESET = "r2gen-iu"
PROBABILITIES = {"predictions": [0.9, 0.3, 0.4, 0.1, 0.4], "references": [1.0, 1.0, 0.0, 0.0, 1.0]}
TRAIN = ["The lungs are clear. No effusion.", "The lungs are clear. The heart is normal.", "No effusion. Normal heart."]
REFERENCES = ["The lungs are clear. No effusion.", "Small pleural effusion.", "The heart is enlarged. No edema."]
PREDICTIONS = ["The lungs are clear.", "Pleural effusion is seen.", "The heart is normal. No edema."]

LOAD_ALL = """
import json
import sys
import evaluate
from report_gen.metrics import metric_folder

request = json.load(sys.stdin)
texts = {key: request[key] for key in ("predictions", "references", "preset", "training_reports")}
modules = {name: evaluate.load(metric_folder(name)) for name in request["names"]}
answer = {
    "scores": {name: module.compute(**texts) for name, module in modules.items()},
    "cards": {
        name: [module.description, module.citation, module.inputs_description, sorted(module.features), module.name]
        for name, module in modules.items()
    },
    "probabilities": {
        name: evaluate.load(metric_folder(name)).compute(**request["probabilities"])
        for name in request["probability_names"]
    },
    "combined": evaluate.combine([modules[name] for name in request["names"][:3]]).compute(**texts),
}
for example in request["examples"]:
    exec(example)
print(json.dumps(answer))
"""


def examples(path: Path) -> list[str]:
    """The Python code blocks of a Markdown file."""
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


def offline(code: str, home: Path, *arguments: str, text: str = "") -> str:
    """Run Python code without a network, in an empty folder and with a Hugging Face home of its own."""
    environment = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        env={**os.environ, **environment},
        cwd=home.parent,
        input=text,
        stdout=subprocess.PIPE,
        text=True,
    )
    return found.stdout


def scores_of_the_command(folder: Path) -> dict[str, float]:
    """The scores of `report-gen score` for the same texts."""

    def write(name: str, texts: list[str]) -> Path:
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps({"id": str(i), "report": text}) for i, text in enumerate(texts)))
        return path

    run = run_score(
        ScoreOptions(
            predictions=write("predictions", PREDICTIONS),
            references=write("references", REFERENCES),
            train=write("train", TRAIN),
            preset=PRESET,
            java=False,
            draws=0,
        )
    )
    return {score.name: score.value for score in run.model.scores}


def score_of_the_head(name: str) -> float:
    """The score that `report-gen evaluate` computes from the same probabilities."""
    columns = {key: np.array(values)[:, None] for key, values in PROBABILITIES.items()}
    ids, own, labels = (
        [str(i) for i in range(len(columns["references"]))],
        columns["predictions"],
        columns["references"],
    )
    run = score_head(ids, ["Edema"], own=own, controls={}, labels=labels, draws=0, seed=0)
    assert run is not None
    return run[f"Edema {name}"].value


def test_every_module_and_every_example_runs_offline_with_the_scores_of_the_command(tmp_path: Path) -> None:
    names = [name for name in METRICS if name != "report_meteor"]
    request = {"names": names, "predictions": PREDICTIONS, "references": REFERENCES}
    request |= {"preset": PRESET, "training_reports": TRAIN}
    request |= {"probability_names": list(PROBABILITY_METRICS), "probabilities": PROBABILITIES}
    cards = [Path(metric_folder(name)) / "README.md" for name in (*names, *PROBABILITY_METRICS)]
    readme = ROOT / "report_gen/metrics/README.md"
    request["examples"] = [example for path in (readme, *cards) for example in examples(path)]
    assert len(request["examples"]) == 2 + len(names) + len(PROBABILITY_METRICS)
    answer = json.loads(offline(LOAD_ALL, tmp_path / "hf", text=json.dumps(request)).splitlines()[-1])
    expected = scores_of_the_command(tmp_path)
    found = {name: value for scores in answer["scores"].values() for name, value in scores.items()}
    assert found == expected
    combined = {name: expected[name] for module in names[:3] for name in answer["scores"][module]}
    assert answer["combined"] == combined
    assert len(combined) > 3
    assert answer["probabilities"] == {
        "finding_auroc": {"AUROC": score_of_the_head("AUROC")},
        "finding_calibration": {name: score_of_the_head(name) for name in ("ECE", "Brier", "Brier of prevalence")},
    }
    for name, (description, citation, inputs, features, module_name) in answer["cards"].items():
        assert (description, citation) == (METRICS[name].description, METRICS[name].citation)
        assert "preset" in inputs
        assert features == ["predictions", "references"]
        assert module_name == name


@pytest.mark.realdata  # needs none, but loading the paraphrases of the program takes ten seconds
@pytest.mark.usefixtures("shared")
@pytest.mark.skipif(find_meteor() is None, reason="needs Java and pycocoevalcap")
def test_the_example_of_meteor_runs(tmp_path: Path) -> None:
    (example,) = examples(Path(metric_folder("report_meteor")) / "README.md")
    assert offline(f"{example}\nprint(*scores)", tmp_path / "hf") == "METEOR 1.5\n"


@pytest.mark.parametrize("name", [*METRICS, *PROBABILITY_METRICS])
def test_every_metric_has_a_module_and_a_card(name: str) -> None:
    folder = Path(metric_folder(name))
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == ["README.md", f"{name}.py"]
    card, code = (folder / "README.md").read_text(), (folder / f"{name}.py").read_text()
    assert card.startswith(f"# {name}: ")
    assert {**METRICS, **PROBABILITY_METRICS}[name].citation in card
    assert f'metric_name = "{name}"' in code
    assert not re.search(r"^import .*,", code, re.MULTILINE)  # `evaluate` reads one import per line


def test_the_folder_of_modules_has_no_others() -> None:
    folder = Path(metric_folder("report_bleu")).parent
    assert {path.name for path in folder.iterdir() if path.name != "__pycache__"} == {*METRICS, *PROBABILITY_METRICS}
    with pytest.raises(UsageError, match="no metric 'bleu'; use one of report_bleu"):
        metric_folder("bleu")


def test_statistics_give_the_scores_of_the_corpus_and_of_each_report() -> None:
    (measure,) = METRICS["report_bleu"].statistics(["a b c d", "x"], ["a b c d", "y"])
    assert dict(measure.named_values()) == METRICS["report_bleu"].compute(["a b c d", "x"], ["a b c d", "y"])
    assert measure.per_report[:, 0].round(6).tolist() == [1, 0]
    with pytest.raises(ValueError, match="2 predictions for 1 references"):
        METRICS["report_bleu"].compute(["a", "b"], ["a"])


def test_probabilities_without_studies_or_labels_are_refused() -> None:
    for predictions, references in (([], []), ([0.5], [1.0, 0.0])):
        with pytest.raises(ValueError, match="give one for each"):
            PROBABILITY_METRICS["finding_auroc"].compute(predictions, references)


def test_a_metric_prepares_texts_with_its_preset() -> None:
    prediction, reference = ["the lungs are clear."], ["The lungs are clear."]
    compute = METRICS["report_bleu"].compute
    assert compute(prediction, reference)["BLEU-1"] == pytest.approx(3 / 4)
    assert compute(prediction, reference, preset="r2gen-iu")["BLEU-1"] == pytest.approx(1)
    unknown = compute(["no mass ."], ["no <unk> ."], preset="r2gen-iu", training_reports=["no", "no", "no"])
    assert unknown["BLEU-1"] == pytest.approx(2 / 3)


def test_meteor_without_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"METEOR 1\.5 needs Java \(Debian: apt-get install"):
        METRICS["report_meteor"].compute(PREDICTIONS, REFERENCES)


def test_scoring_loads_no_heavy_library(tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "evaluate", "datasets", "pandas", "nltk", "sacrebleu", "rouge_score"}
    code = f"import sys, report_gen.metrics; print(sorted({heavy!r} & set(sys.modules)))"
    assert offline(code, tmp_path / "hf") == "[]\n"
