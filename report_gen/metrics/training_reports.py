"""Training reports for a score run, and the baseline drafts made from them."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
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
from report_gen.metrics.metric import ReportTexts
from report_gen.metrics.preset import Preset
from report_gen.metrics.report_files import is_annotation, list_ids, read_reports
from report_gen.records import FindingSchema


@dataclass(frozen=True, kw_only=True)
class TrainingReports:
    """Report texts by study id."""

    train: Mapping[str, str]
    val: Mapping[str, str]
    """Empty without a val split."""


def read_training(train: Path | None, references: Path, *, id_column: str | None = None) -> TrainingReports | None:
    """Read training reports from `train`, or else from the annotation.json that contains the references.

    Args:
        train: File of training reports, if given.
        references: File of the references.
        id_column: Column of the study ids. Default: a column with a usual name.

    Returns:
        None if there is neither.

    Raises:
        CorpusError: The file cannot be read.
    """
    path = train or (references if is_annotation(references) else None)
    if path is None:
        return None
    val = read_reports(path, id_column=id_column, split="val") if is_annotation(path) else {}
    return TrainingReports(train=read_reports(path, id_column=id_column, split="train"), val=val)


def baseline_drafts(
    training: TrainingReports,
    preset: Preset,
    known_words: frozenset[str] | None,
    ids: Sequence[str],
    *,
    seed: int,
    features: Mapping[str, Floats] | None = None,
    schema: FindingSchema | None = None,
) -> list[ReportTexts]:
    """Draft the studies `ids` with every baseline.

    Args:
        training: The reports that the baselines copy.
        preset: Prepares the texts.
        known_words: The vocabulary of the preset; None replaces no word.
        ids: Study ids.
        seed: Seed of the random baseline.
        features: Image features [D] by study id; the image 1-NN baseline exists only with them.
        schema: The findings that are labeled in the drafts; those of chest radiographs if None.

    Raises:
        CorpusError: `features` contains no training report, or lacks a study.
    """
    texts = list(training.train.values())
    prepared = preset.prepare_references(texts, known_words)
    val = preset.prepare_references(training.val.values(), known_words) or prepared
    chosen = {
        CONSTANT: [best_constant(prepared, val)] * len(ids),
        MOST_FREQUENT: [most_frequent(prepared)] * len(ids),
        RANDOM: random_reports(prepared, len(ids), seed),
    }
    if features is not None:
        chosen[NEAREST] = _nearest_by_image(list(training.train), ids, features)
    return [
        ReportTexts(
            name=name,
            texts=[texts[index] for index in indices],
            prepared=[prepared[index] for index in indices],
            schema=schema,
        )
        for name, indices in chosen.items()
    ]


def read_features(path: Path) -> dict[str, Floats]:
    """Read image features by study id from an .npz with the arrays `ids` [N] and `features` [N, D].

    Raises:
        CorpusError: The file cannot be read, or the arrays do not fit.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            ids, features = arrays["ids"], arrays["features"]
    except _NOT_ARRAYS as error:
        raise CorpusError(
            f"{path}: not an .npz file with the arrays 'ids' and 'features'; write it with numpy.savez"
        ) from error
    is_table = ids.ndim == 1 and features.ndim == 2 and len(ids) == len(features) and features.dtype.kind in "fiu"
    if not is_table or not np.isfinite(features).all():
        raise CorpusError(f"{path}: 'features' must be finite numbers with one row for each of 'ids'")
    return {str(name): row for name, row in zip(ids.tolist(), features.astype(np.float64), strict=True)}


def check_features(
    features: Mapping[str, Floats], train_ids: Iterable[str], ids: Iterable[str], *, source: str
) -> None:
    """Check that there are image features for a training report and for every study.

    Args:
        features: Image features [D] by study id.
        train_ids: Study ids of the training reports.
        ids: Study ids of the drafts.
        source: Where the features come from, for messages.

    Raises:
        CorpusError: The features contain no training report, or lack a study.
    """
    if not any(name in features for name in train_ids):
        raise CorpusError(f"{source}: no features of a training report; compute them for train and test")
    if missing := [name for name in ids if name not in features]:
        raise CorpusError(f"{source}: no features of {list_ids(missing)}; compute them for train and test")


_NOT_ARRAYS = (
    *(
        AttributeError,
        EOFError,
        KeyError,
        MemoryError,
        NotImplementedError,
        OSError,
        RuntimeError,
        SyntaxError,
        TypeError,
    ),
    *(ValueError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""Exceptions that `numpy.load` raises on files of another kind and on damaged or manipulated archives."""


def _nearest_by_image(train_ids: Sequence[str], ids: Sequence[str], features: Mapping[str, Floats]) -> list[int]:
    """Find for each study the index of the training report with the most similar image."""
    check_features(features, train_ids, ids, source="image features")
    available = [index for index, name in enumerate(train_ids) if name in features]
    train = np.stack([features[train_ids[index]] for index in available])
    nearest = nearest_reports(train, np.stack([features[name] for name in ids]))
    return [available[index] for index in nearest]
