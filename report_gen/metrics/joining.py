"""Predictions and references brought together by id; what does not fit is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from report_gen.errors import CorpusError, UsageError
from report_gen.metrics.report_files import name_some, read_reports


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Reports that both sides have, in the references' order."""

    ids: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[str, ...]
    notices: tuple[str, ...]
    """What the reader of the scores must know of the data."""


def join_files(
    predictions: Path, references: Path, *, id_column: str | None = None, allow_missing: bool = False
) -> Joined:
    """Read both files and join them by id; of an annotation.json the test split.

    Raises CorpusError and UsageError for what cannot be read or does not fit together.
    """
    if predictions.exists() and references.exists() and predictions.samefile(references):
        raise UsageError(f"{predictions}: given both as predictions and as references; give two files.")
    return join_reports(
        read_reports(predictions, role="prediction", id_column=id_column),
        read_reports(references, role="reference", id_column=id_column),
        source=str(predictions),
        allow_missing=allow_missing,
    )


def join_reports(
    predictions: Mapping[str, str], references: Mapping[str, str], *, source: str, allow_missing: bool = False
) -> Joined:
    """Raises CorpusError for missing and unknown ids, unless they are allowed, and when nothing is left to score."""
    ids = tuple(name for name in references if name in predictions)
    if not ids:
        ours, theirs = next(iter(predictions), ""), next(iter(references), "")
        raise CorpusError(f"{source}: no id in common with the references ({ours!r} here, {theirs!r} there).")
    missing = [name for name in references if name not in predictions]
    extra = [name for name in predictions if name not in references]
    faults = [f"no prediction for {name_some(missing, 'id')}"] if missing else []
    faults += [f"no reference for {name_some(extra, 'id')}"] if extra else []
    if faults and not allow_missing:
        raise CorpusError(f"{source}: {' and '.join(faults)}; --allow-missing scores the {len(ids)} in common.")
    kept = tuple(predictions[name] for name in ids)
    if not any(text.strip() for text in kept):
        raise CorpusError(f"{source}: every prediction is empty; nothing can be scored.")
    return Joined(
        ids=ids,
        predictions=kept,
        references=tuple(references[name] for name in ids),
        notices=(*faults, *notice_empty(kept)),
    )


def notice_empty(predictions: Sequence[str]) -> list[str]:
    """A notice when some are empty."""
    empty = sum(not text.strip() for text in predictions)
    return [f"{empty} of {len(predictions)} predictions are empty and score 0"] if empty else []
