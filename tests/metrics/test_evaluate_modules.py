"""The evaluate.Metric door: works without network, in one line, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TRY_ALL = """
from report_gen.metrics.evaluate_metrics import Bleu, Meteor15, ReportMetric
for metric in set(ReportMetric.__subclasses__()) - {Meteor15}:
    scores = metric().compute(predictions=["the lungs are clear .", "x"], references=["the lungs are clear .", "y"])
    assert scores and all(isinstance(value, float) for value in scores.values()), scores
bleu = Bleu()
assert bleu.compute(predictions=["a b c d"], references=["a b c d"])["BLEU-4"] > 0.999
assert bleu.compute(predictions=["a b c d"], references=["a b c e"])["BLEU-1"] < 0.751
"""


def run(code: str, home: Path) -> None:
    offline = {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **offline}, cwd=home.parent)


def test_every_metric_computes_offline_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "hf"
    run(TRY_ALL, home)
    assert not home.exists()


def test_the_arithmetic_loads_no_heavy_library(tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "evaluate", "datasets", "pandas", "nltk", "sacrebleu", "rouge_score"}
    run(f"import sys, report_gen.metrics; assert not {heavy!r} & set(sys.modules)", tmp_path / "hf")
