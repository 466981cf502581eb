"""Metrics that need an extra package and local model weights: BERTScore, CheXbert, RadGraph.

They compare the texts as written. Nothing is downloaded. A metric that is requested and not installed is left out with
a notice that says what to install; the other metrics are still computed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from report_gen.errors import UsageError
from report_gen.metrics.finding_scores import States, finding_measures, label_reports
from report_gen.metrics.measure import Measure, mean_measure
from report_gen.metrics.metric import ReportComparison, ReportMetric
from report_gen.records import FindingState

_Measure = Callable[[ReportComparison], tuple[Measure, ...]]

CHEXBERT = "CheXbert"

_CHEXBERT_STATES = {
    1: FindingState.PRESENT,
    0: FindingState.ABSENT,
    -1: FindingState.UNCERTAIN,
    "": FindingState.NOT_MENTIONED,
}
_RADGRAPH_MODEL = "radgraph-xl"


def load_optional(folders: Mapping[str, Path]) -> tuple[list[ReportMetric], list[str]]:
    """Load the requested optional metrics.

    Args:
        folders: Weights folder by the metric's name in `OPTIONAL`.

    Returns:
        The metrics that are installed, and a notice for each that is not.

    Raises:
        UsageError: A name is not in `OPTIONAL`.
    """
    metrics: list[ReportMetric] = []
    notices: list[str] = []
    for name, folder in folders.items():
        if name not in OPTIONAL:
            raise UsageError(f"there is no optional metric {name!r}; use one of {', '.join(OPTIONAL)}")
        optional = OPTIONAL[name]
        if find_spec(optional.module) is None:
            notices.append(f"{optional.title} left out: `pip install {optional.package}` first")
        elif not (folder / optional.weights).exists():
            notices.append(
                f"{optional.title} left out: {folder} contains no {optional.weights}; get it from {optional.source}"
            )
        else:
            measure = optional.load(folder)
            metrics.append(ReportMetric(name=name, description=optional.title, citation="", measure=measure))
    return metrics, notices


@dataclass(frozen=True, kw_only=True)
class OptionalMetric:
    """An optional metric: what must be installed, and how it is loaded."""

    title: str
    module: str
    """Module whose presence shows that the package is installed."""
    package: str
    weights: str
    """File or folder that the weights folder must contain."""
    source: str
    """Where the weights come from."""
    load: Callable[[Path], _Measure]
    """Loads the metric from its weights folder."""


def _bertscore(folder: Path) -> _Measure:
    """Load BERTScore F1 (Zhang et al., ICLR 2020) at the layer that its authors tuned for the model, else the last."""
    package = import_module("bert_score")
    last = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    layer = import_module("bert_score.utils").model2layers.get(folder.name, last)

    def measure(compared: ReportComparison) -> tuple[Measure, ...]:
        scorer = package.BERTScorer(model_type=str(folder), num_layers=layer)
        predictions, references = list(compared.predictions.texts), list(compared.references.texts)
        f1 = np.asarray(scorer.score(predictions, references)[2], dtype=np.float64)
        return (mean_measure(["BERTScore F1"], f1[:, None], f"{folder.name},layer{layer}"),)

    return measure


def _chexbert(folder: Path) -> _Measure:
    """Load the finding scores with CheXbert (Smit et al., EMNLP 2020) as the labeler."""
    module: Any = import_module("f1chexbert.f1chexbert")
    module.CACHE_DIR = str(folder)  # the package's functions take no folder
    labeler = module.F1CheXbert()

    def label(text: str) -> States:
        classes = labeler.get_label(text.strip(), mode="classification")
        return dict(zip(labeler.target_names, (_CHEXBERT_STATES[value] for value in classes), strict=True))

    def measure(compared: ReportComparison) -> tuple[Measure, ...]:
        predicted = label_reports(compared.predictions.texts, label)
        return finding_measures(predicted, label_reports(compared.references.texts, label), labeler=CHEXBERT)

    return measure


def _radgraph(folder: Path) -> _Measure:
    """Load RadGraph F1 over entities and whether they have a relation (Delbrouck et al., EMNLP 2022, "partial")."""
    scorer = import_module("radgraph").F1RadGraph(
        reward_level="partial", model_type=_RADGRAPH_MODEL, model_cache_dir=str(folder)
    )

    def measure(compared: ReportComparison) -> tuple[Measure, ...]:
        predictions, references = list(compared.predictions.texts), list(compared.references.texts)
        rewards = np.array(scorer(refs=references, hyps=predictions)[1], dtype=np.float64)
        return (mean_measure(["RadGraph F1"], rewards[:, None], f"{_RADGRAPH_MODEL},partial"),)

    return measure


OPTIONAL: Mapping[str, OptionalMetric] = MappingProxyType(
    {
        "bertscore": OptionalMetric(
            title="BERTScore",
            module="bert_score",
            package="bert-score",
            weights="config.json",
            source="a model on huggingface.co, such as roberta-large",
            load=_bertscore,
        ),
        "chexbert": OptionalMetric(
            title=CHEXBERT,
            module="f1chexbert",
            package="f1chexbert",
            weights="chexbert.pth",
            source="huggingface.co/StanfordAIMI/RRG_scorers",
            load=_chexbert,
        ),
        "radgraph": OptionalMetric(
            title="RadGraph",
            module="radgraph",
            package="radgraph",
            weights=_RADGRAPH_MODEL,
            source="huggingface.co/StanfordAIMI/RRG_scorers, unpacked",
            load=_radgraph,
        ),
    }
)
"""Optional metrics by the name under which they are requested."""
