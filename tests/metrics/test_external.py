"""Optional measures: called as their packages want it (stood in for here), and left out by name when not there."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from report_gen.errors import UsageError
from report_gen.labeling.schema_files import chest_xray
from report_gen.metrics.external import OPTIONAL, load_optional

FINDINGS = chest_xray().findings

PREDICTIONS, REFERENCES = ["edema", "clear"], ["edema", "edema"]


def install(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("name", list(OPTIONAL))
def test_what_is_not_installed_says_what_to_install(tmp_path: Path, name: str) -> None:
    instruments, notices = load_optional({name: tmp_path})
    assert instruments == []
    assert notices == [f"{OPTIONAL[name].title} left out: `pip install {OPTIONAL[name].package}` first"]


def test_weights_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, "f1chexbert")
    _, notices = load_optional({"chexbert": tmp_path})
    assert notices == [
        f"CheXbert left out: {tmp_path} holds no chexbert.pth; get it from huggingface.co/StanfordAIMI/RRG_scorers"
    ]
    with pytest.raises(UsageError, match="no optional measure 'bleurt'"):
        load_optional({"bleurt": tmp_path})


def test_bertscore_is_asked_for_the_tuned_layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {}

    def scorer(**arguments: object) -> SimpleNamespace:
        asked.update(arguments)
        return SimpleNamespace(score=lambda here, there: ([0, 0], [0, 0], [0.75, 0.25]))

    folder = tmp_path / "roberta-large"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 24}')
    install(monkeypatch, "bert_score", BERTScorer=scorer)
    install(monkeypatch, "bert_score.utils", model2layers={"roberta-large": 17})
    (instrument,), _ = load_optional({"bertscore": folder})
    (measure,) = instrument(PREDICTIONS, REFERENCES)
    assert asked == {"model_type": str(folder), "num_layers": 17}
    assert (measure.names, measure.values[0], measure.recipe) == (("BERTScore F1",), 0.5, "roberta-large,layer17")


def test_chexbert_labels_for_the_finding_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = [*FINDINGS[1:], FINDINGS[0]]
    (tmp_path / "chexbert.pth").touch()

    class Labeller:
        target_names = names

        def get_label(self, text: str, mode: str) -> list[object]:
            assert mode == "classification"
            return [1 if name.lower() == text else "" for name in names]

    install(monkeypatch, "f1chexbert")
    install(monkeypatch, "f1chexbert.f1chexbert", F1CheXbert=Labeller, CACHE_DIR="elsewhere")
    (instrument,), _ = load_optional({"chexbert": tmp_path})
    assert str(tmp_path) == sys.modules["f1chexbert.f1chexbert"].CACHE_DIR
    averages = instrument(PREDICTIONS, REFERENCES)[0]
    found = dict(zip(averages.names, averages.values, strict=True))
    assert found["CheXbert micro recall, 14 findings, uncertain+"] == 0.5
    assert found["CheXbert micro precision, 14 findings, uncertain+"] == 1


def test_radgraph_reads_its_rewards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "radgraph-xl").mkdir()

    def scorer(**arguments: object):
        assert arguments == {
            "reward_level": "partial",
            "model_type": "radgraph-xl",
            "model_cache_dir": str(tmp_path),
        }
        return lambda refs, hyps: (0.5, [1.0, 0.0], [], [])

    install(monkeypatch, "radgraph", F1RadGraph=scorer)
    (instrument,), _ = load_optional({"radgraph": tmp_path})
    (measure,) = instrument(PREDICTIONS, REFERENCES)
    assert (measure.names, measure.values[0]) == (("RadGraph F1",), 0.5)
    assert measure.per_report[:, 0].tolist() == [1, 0]
