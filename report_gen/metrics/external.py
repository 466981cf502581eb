"""Measures that need a package and weights of their own: BERTScore, CheXbert, RadGraph. Nothing is downloaded here.

They are scored on the texts as written. What is asked for and not there is left out with a notice that says what to
install; the other measures still run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
from report_gen.records.findings import FindingState

Texts = Sequence[str]
TextInstrument = Callable[[Texts, Texts], tuple[Measure, ...]]
"""From predictions and references as written to measures."""

CHEXBERT = "CheXbert"

_CHEXBERT_STATES = {
    1: FindingState.PRESENT,
    0: FindingState.ABSENT,
    -1: FindingState.UNCERTAIN,
    "": FindingState.NOT_MENTIONED,
}
_RADGRAPH_MODEL = "radgraph-xl"


def load_optional(asked: Mapping[str, Path]) -> tuple[list[TextInstrument], list[str]]:
    """The instruments that are there, and a notice for each that is not; `asked` maps a name to the weights' folder.

    Raises UsageError for a name that is none of `OPTIONAL`.
    """
    instruments: list[TextInstrument] = []
    notices: list[str] = []
    for name, folder in asked.items():
        if name not in OPTIONAL:
            raise UsageError(f"There is no optional measure {name!r}: use one of {', '.join(OPTIONAL)}.")
        wanted = OPTIONAL[name]
        if find_spec(wanted.module) is None:
            notices.append(f"{wanted.title} left out: `pip install {wanted.package}` first")
        elif not (folder / wanted.weights).exists():
            notices.append(f"{wanted.title} left out: {folder} holds no {wanted.weights}; get it from {wanted.source}")
        else:
            instruments.append(wanted.load(folder))
    return instruments, notices


@dataclass(frozen=True, kw_only=True)
class _Optional:
    title: str
    module: str
    package: str
    weights: str
    """What the folder must hold."""
    source: str
    load: Callable[[Path], TextInstrument]


def _bertscore(folder: Path) -> TextInstrument:
    """BERTScore F1 (Zhang et al., ICLR 2020), at the layer that its authors tuned for the model, else the last."""
    package = import_module("bert_score")
    last = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    layer = import_module("bert_score.utils").model2layers.get(folder.name, last)

    def measure(predictions: Texts, references: Texts) -> tuple[Measure, ...]:
        scorer = package.BERTScorer(model_type=str(folder), num_layers=layer)
        f1 = np.asarray(scorer.score(list(predictions), list(references))[2], dtype=np.float64)
        return (mean_measure(["BERTScore F1"], f1[:, None], f"{folder.name},layer{layer}"),)

    return measure


def _chexbert(folder: Path) -> TextInstrument:
    """The finding scores with CheXbert (Smit et al., EMNLP 2020) for the labeller."""
    module: Any = import_module("f1chexbert.f1chexbert")
    module.CACHE_DIR = str(folder)  # the package takes no folder
    labeller = module.F1CheXbert()

    def label(text: str) -> States:
        classes = labeller.get_label(text.strip(), mode="classification")
        return dict(zip(labeller.target_names, (_CHEXBERT_STATES[one] for one in classes), strict=True))

    def measure(predictions: Texts, references: Texts) -> tuple[Measure, ...]:
        states = label_reports(predictions, label), label_reports(references, label)
        return finding_measures(*states, labeller=CHEXBERT)

    return measure


def _radgraph(folder: Path) -> TextInstrument:
    """RadGraph F1 over entities and whether they have a relation (Delbrouck et al., EMNLP 2022, "partial")."""
    scorer = import_module("radgraph").F1RadGraph(
        reward_level="partial", model_type=_RADGRAPH_MODEL, model_cache_dir=str(folder)
    )

    def measure(predictions: Texts, references: Texts) -> tuple[Measure, ...]:
        rewards = np.array(scorer(refs=list(references), hyps=list(predictions))[1], dtype=np.float64)
        return (mean_measure(["RadGraph F1"], rewards[:, None], f"{_RADGRAPH_MODEL},partial"),)

    return measure


OPTIONAL: Mapping[str, _Optional] = MappingProxyType(
    {
        "bertscore": _Optional(
            title="BERTScore",
            module="bert_score",
            package="bert-score",
            weights="config.json",
            source="a model on huggingface.co, such as roberta-large",
            load=_bertscore,
        ),
        "chexbert": _Optional(
            title=CHEXBERT,
            module="f1chexbert",
            package="f1chexbert",
            weights="chexbert.pth",
            source="huggingface.co/StanfordAIMI/RRG_scorers",
            load=_chexbert,
        ),
        "radgraph": _Optional(
            title="RadGraph",
            module="radgraph",
            package="radgraph",
            weights=_RADGRAPH_MODEL,
            source="huggingface.co/StanfordAIMI/RRG_scorers, unpacked",
            load=_radgraph,
        ),
    }
)
"""By the name under which they are asked for."""
