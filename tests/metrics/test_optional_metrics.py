"""Optional metrics: how their packages (replaced here) are called, and the notice when they are not installed."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from report_gen.errors import UsageError
from report_gen.labeling import chest_xray
from report_gen.metrics import ReportMetric
from report_gen.metrics.metric import compare_texts
from report_gen.metrics.optional_metrics import OPTIONAL, load_optional

FINDINGS = chest_xray().findings
PREDICTIONS, REFERENCES = ["edema", "clear"], ["edema", "edema"]


def measure(metric: ReportMetric):
    return metric.measure(compare_texts(PREDICTIONS, REFERENCES, preset="raw", training_reports=None))


def install(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("name", list(OPTIONAL))
def test_a_missing_package_is_named_in_the_notice(tmp_path: Path, name: str) -> None:
    metrics, notices = load_optional({name: tmp_path})
    assert metrics == []
    assert notices == [f"{OPTIONAL[name].title} left out: `pip install {OPTIONAL[name].package}` first"]


def test_missing_weights_are_named_in_the_notice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, "f1chexbert")
    _, notices = load_optional({"chexbert": tmp_path})
    assert notices == [
        f"CheXbert left out: {tmp_path} contains no chexbert.pth; get it from huggingface.co/StanfordAIMI/RRG_scorers"
    ]
    with pytest.raises(UsageError, match="no optional metric 'bleurt'"):
        load_optional({"bleurt": tmp_path})


def test_bertscore_is_received_for_the_tuned_layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    received = {}

    def scorer(**arguments: object) -> SimpleNamespace:
        received.update(arguments)
        return SimpleNamespace(score=lambda here, there: ([0, 0], [0, 0], [0.75, 0.25]))

    folder = tmp_path / "roberta-large"
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 24}')
    install(monkeypatch, "bert_score", BERTScorer=scorer)
    install(monkeypatch, "bert_score.utils", model2layers={"roberta-large": 17})
    (metric,), _ = load_optional({"bertscore": folder})
    (found,) = measure(metric)
    assert received == {"model_type": str(folder), "num_layers": 17}
    assert (found.names, found.values[0], found.variant) == (("BERTScore F1",), 0.5, "roberta-large,layer17")


def test_chexbert_labels_for_the_finding_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = [*FINDINGS[1:], FINDINGS[0]]
    (tmp_path / "chexbert.pth").touch()

    class Labeler:
        target_names = names

        def get_label(self, text: str, mode: str) -> list[object]:
            assert mode == "classification"
            return [1 if name.lower() == text else "" for name in names]

    install(monkeypatch, "f1chexbert")
    install(monkeypatch, "f1chexbert.f1chexbert", F1CheXbert=Labeler, CACHE_DIR="elsewhere")
    (metric,), _ = load_optional({"chexbert": tmp_path})
    assert str(tmp_path) == sys.modules["f1chexbert.f1chexbert"].CACHE_DIR
    averages = measure(metric)[0]
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
    (metric,), _ = load_optional({"radgraph": tmp_path})
    (found,) = measure(metric)
    assert (found.names, found.values[0]) == (("RadGraph F1",), 0.5)
    assert found.per_report[:, 0].tolist() == [1, 0]
