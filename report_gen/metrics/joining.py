"""Join predictions and references by study id; ids on one side only are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from report_gen.errors import CorpusError, UsageError
from report_gen.metrics.draft_files import notice_versions
from report_gen.metrics.draft_ids import match_ids
from report_gen.metrics.report_files import list_ids, read_reports


@dataclass(frozen=True, kw_only=True)
class JoinedReports:
    """Reports of the studies that both sides contain, in the order of the references."""

    ids: tuple[str, ...]
    predictions: tuple[str, ...]
    references: tuple[str, ...]
    notices: tuple[str, ...]
    """Facts about the data that a reader of the scores must know."""


def join_files(
    predictions: Path, references: Path, *, id_column: str | None = None, allow_missing: bool = False
) -> JoinedReports:
    """Read both files and join them by study id. Of an annotation.json the test split is read.

    Args:
        predictions: File of drafts.
        references: File of reports.
        id_column: Column of the study ids in both files. Default: a column with a usual name.
        allow_missing: Whether studies that are missing in one file are left out instead of refused.

    Raises:
        UsageError: Both paths are the same file.
        CorpusError: A file cannot be read, or the files do not fit together.
    """
    if predictions.exists() and references.exists() and predictions.samefile(references):
        raise UsageError(f"{predictions}: given both as predictions and as references; give two files")
    referenced = read_reports(references, role="reference", id_column=id_column)
    predicted = read_reports(predictions, role="prediction", id_column=id_column)
    drafts, matched = match_ids(predictions, predicted, referenced)
    joined = join_reports(drafts, referenced, source=str(predictions), allow_missing=allow_missing)
    versions = (*notice_versions(predictions), *notice_versions(references))
    return replace(joined, notices=(*versions, *matched, *joined.notices))


def join_reports(
    predictions: Mapping[str, str], references: Mapping[str, str], *, source: str, allow_missing: bool = False
) -> JoinedReports:
    """Join texts by study id.

    Args:
        predictions: Drafts by study id. At least one id is in the references, see `match_ids`.
        references: Reports by study id.
        source: Where the predictions come from, for messages.
        allow_missing: Join the studies that both sides contain instead of raising.

    Raises:
        CorpusError: Ids are missing or unknown and `allow_missing` is false, or every prediction is empty.
    """
    ids = tuple(name for name in references if name in predictions)
    missing = [name for name in references if name not in predictions]
    unknown = [name for name in predictions if name not in references]
    faults = [f"no prediction for {list_ids(missing)}"] if missing else []
    faults += [f"no reference for {list_ids(unknown)}"] if unknown else []
    if faults and not allow_missing:
        raise CorpusError(f"{source}: {' and '.join(faults)}; --allow-missing scores the {len(ids)} in common")
    joined = tuple(predictions[name] for name in ids)
    if not any(text.strip() for text in joined):
        raise CorpusError(f"{source}: every prediction is empty, so there is nothing to score; check the text column")
    return JoinedReports(
        ids=ids,
        predictions=joined,
        references=tuple(references[name] for name in ids),
        notices=(*faults, *notice_empty(joined)),
    )


def notice_empty(predictions: Sequence[str]) -> list[str]:
    """Return a notice if some predictions are empty."""
    empty = sum(not text.strip() for text in predictions)
    if predictions and empty == len(predictions):
        return [f"all {empty} predictions are empty: every score is 0 by definition"]
    return [f"{empty} of {len(predictions)} predictions are empty and score 0"] if empty else []
