"""Count n-grams of the training reports, so that generation can propose tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from report_gen.model import CONTINUATION_LENGTHS, Continuations

_LEAST_SHARE = 0.4
"""Least share of the next token among all tokens that follow. Proposals that are wrong more often cost more than they
gain."""
_MOST_REPORTS = 20_000
"""Largest number of reports that are counted. Further reports add only rare n-grams."""


def count_continuations(reports: Iterable[tuple[str, Sequence[int]]], *, min_patients: int) -> Continuations:
    """Return the most frequent next tokens in reports, without n-grams that could identify a patient.

    Args:
        reports: Patient id and token ids of each report, with begin and end token. Reports without a patient id are
            left out.
        min_patients: Least number of patients whose reports contain the n-gram of the last tokens and the next one.
    """
    counted = list(islice(((patient, ids) for patient, ids in reports if patient), _MOST_REPORTS))
    codes = {patient: code for code, patient in enumerate(dict.fromkeys(patient for patient, _ in counted))}
    following: dict[tuple[int, ...], int] = {}
    for length in CONTINUATION_LENGTHS:
        pairs = [_windows(ids, length + 1, codes[patient]) for patient, ids in counted if len(ids) > length]
        if pairs:
            following |= _most_frequent(np.concatenate(pairs), min_patients)
    return Continuations(following)


def _windows(ids: Sequence[int], width: int, patient: int) -> NDArray[np.int64]:
    """Return all n windows of consecutive tokens, with the code of the patient in the last column [n,width+1]."""
    windows = sliding_window_view(np.asarray(ids, dtype=np.int64), width)
    return np.column_stack([windows, np.full(len(windows), patient)])


def _most_frequent(pairs: NDArray[np.int64], min_patients: int) -> dict[tuple[int, ...], int]:
    """Return the next token that most patients have, by the tokens before it.

    Args:
        pairs: Last tokens, next token and patient [n,length+2].
        min_patients: As in `count_continuations`.
    """
    runs, patients = np.unique(np.unique(pairs, axis=0)[:, :-1], axis=0, return_counts=True)
    _, last, group = np.unique(runs[:, :-1], axis=0, return_index=True, return_inverse=True)
    total = np.bincount(group.ravel(), weights=patients)
    order = np.lexsort((-patients, group.ravel()))  # the most frequent one of each group first
    first = order[np.searchsorted(group.ravel()[order], np.arange(len(last)))]
    kept = first[(patients[first] >= min_patients) & (patients[first] >= _LEAST_SHARE * total)]
    return {tuple(run[:-1]): run[-1] for run in runs[kept].tolist()}
