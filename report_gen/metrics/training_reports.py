"""Training reports for a score: where they come from, and what drafting from them alone gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from report_gen.errors import CorpusError
from report_gen.metrics.baselines import (
    CONSTANT,
    MOST_FREQUENT,
    NEAREST,
    RANDOM,
    best_constant,
    most_frequent,
    nearest_reports,
    random_reports,
)
from report_gen.metrics.measure import Floats
from report_gen.metrics.metric_suite import Drafts
from report_gen.metrics.preset import Preset
from report_gen.metrics.report_files import is_annotation, name_some, read_reports


@dataclass(frozen=True, kw_only=True)
class TrainingReports:
    """Report texts by id."""

    train: Mapping[str, str]
    val: Mapping[str, str]
    """Empty where there is no val split."""


def read_training(train: Path | None, references: Path, *, id_column: str | None = None) -> TrainingReports | None:
    """From `train`, or else from the annotation.json that holds the references; None where neither is given."""
    path = train or (references if is_annotation(references) else None)
    if path is None:
        return None
    val = read_reports(path, id_column=id_column, split="val") if is_annotation(path) else {}
    return TrainingReports(train=read_reports(path, id_column=id_column, split="train"), val=val)


def baseline_drafts(
    training: TrainingReports,
    preset: Preset,
    known: frozenset[str] | None,
    ids: Sequence[str],
    *,
    seed: int,
    features: Mapping[str, Floats] | None = None,
) -> list[Drafts]:
    """What each baseline drafts for the studies `ids`; image 1-NN only where image `features` by id are given."""
    texts = list(training.train.values())
    prepared = preset.prepare_references(texts, known)
    val = preset.prepare_references(training.val.values(), known) or prepared
    chosen = {
        CONSTANT: [best_constant(prepared, val)] * len(ids),
        MOST_FREQUENT: [most_frequent(prepared)] * len(ids),
        RANDOM: random_reports(prepared, len(ids), seed),
    }
    if features is not None:
        seen = [place for place, name in enumerate(training.train) if name in features]
        if not seen:
            raise CorpusError("The image features hold no training report; compute them for train and test.")
        names = list(training.train)
        nearest = nearest_reports(np.stack([features[names[place]] for place in seen]), _rows(features, ids))
        chosen[NEAREST] = [seen[place] for place in nearest]
    return [
        Drafts(name=name, texts=[texts[place] for place in places], prepared=[prepared[place] for place in places])
        for name, places in chosen.items()
    ]


def read_features(path: Path) -> dict[str, Floats]:
    """Image features by id from an .npz with the arrays `ids` [N] and `features` [N, D]; raises CorpusError."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ids, features = arrays["ids"], arrays["features"]
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(f"{path}: not an .npz with the arrays 'ids' and 'features'.") from error
    if features.ndim != 2 or len(ids) != len(features) or not np.isfinite(features).all():
        raise CorpusError(f"{path}: 'features' must be finite numbers with one row for each of 'ids'.")
    return {str(name): row for name, row in zip(ids.tolist(), features.astype(np.float64), strict=True)}


def _rows(features: Mapping[str, Floats], ids: Sequence[str]) -> Floats:
    lacking = [name for name in ids if name not in features]
    if lacking:
        raise CorpusError(f"The image features lack {name_some(lacking, 'id')}; compute them for train and test.")
    return np.stack([features[name] for name in ids])
