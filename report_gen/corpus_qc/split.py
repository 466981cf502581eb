"""A corpus split anew: by patient, each split with its share of every finding, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpora import SPLITS
from report_gen.corpus_qc.rows import Row, rows_of
from report_gen.corpus_qc.study_features import STATES, labels_of, states_of
from report_gen.corpus_qc.text_statistics import fingerprint
from report_gen.errors import CorpusError
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingSchema, FindingState

_PRESENT = STATES.index(FindingState.PRESENT)
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which study goes where, and how that came to be."""

    splits: NDArray[np.uint8]
    """[N] places in SPLITS."""
    how: Mapping[str, Any]
    """Method, seed, ratios, and what each split got: for a file beside the manifest."""


def split_corpus(
    dataset: Dataset,
    *,
    source: str,
    ratios: Mapping[str, float],
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
    schema: FindingSchema | None = None,
) -> Split:
    """Patients dealt to the splits; a study whose patient is not known is a patient of its own.

    A finding is what the corpus's label says, or else the report. The order of the rows does not matter.

    Args:
        dataset: With the columns of `corpora.corpus_features`; the split it has does not matter.
        source: What to call the corpus.
        ratios: Shares of studies by split, which sum to 1.
        seed: Of the order in which patients are dealt.
        progress: Is told how many studies have gone by.
        schema: The findings, with which the dataset was read; those of chest radiographs if not given.

    Raises:
        CorpusError: a study occurs twice, or there are too few patients for the splits.
    """
    schema = schema or chest_xray()
    studies, patients, findings = _read(dataset, progress, schema)
    repeated = len(studies) - len(np.unique(studies))
    if repeated:
        raise CorpusError(f"{source}: {repeated} study ids occur more than once; give each study one entry.")
    _, patient = np.unique(patients, return_inverse=True)
    counts = np.zeros((int(patient.max(initial=-1)) + 1, findings.shape[1]), dtype=np.int64)
    np.add.at(counts, patient, findings)
    shares = np.array([ratios[name] for name in SPLITS])
    assigned = assign_patients(counts, shares, np.random.default_rng(seed))
    lacking = [name for place, name in enumerate(SPLITS) if shares[place] > 0 and not (assigned == place).any()]
    if lacking:
        raise CorpusError(f"{source}: {len(counts)} patients are too few, {', '.join(lacking)} would be empty.")
    return Split(splits=assigned[patient].astype(np.uint8), how=_tell(counts, assigned, ratios, seed, schema))


def split_rows(dataset: Dataset, splits: NDArray[np.uint8]) -> Iterator[Row]:
    """The rows, each in its new split."""
    for row, split in zip(rows_of(dataset), splits.tolist(), strict=True):
        yield {**row, "split": SPLITS[split]}


def assign_patients(counts: Ints, shares: NDArray[np.float64], random: np.random.Generator) -> Ints:
    """The split [P] of each patient, by iterative stratification (Sechidis et al., ECML PKDD 2011) of groups.

    The rarest finding is dealt out first, patients with most of it before others, each to the split that lacks most of
    it; where splits are level, to the one that lacks most studies.

    Args:
        counts: [P,K] of each patient: studies with each of K-1 findings, and all studies.
        shares: [S] of the splits, summing to 1; none goes to a split of 0.
        random: Decides in which order equal patients come.
    """
    lacking = shares[:, None] * counts.sum(axis=0)
    lacking[shares == 0] = -np.inf
    assigned = np.full(len(counts), -1, dtype=np.int64)
    order = random.permutation(len(counts))
    while (assigned < 0).any():
        left = order[assigned[order] < 0]
        totals = counts[left].sum(axis=0)
        column = min(np.flatnonzero(totals).tolist(), key=totals.__getitem__)  # the last, all studies, is never empty
        having = left[counts[left, column] > 0]
        for patient in having[np.argsort(-counts[having, column], kind="stable")].tolist():
            split = max(range(len(shares)), key=lambda place: (lacking[place, column], lacking[place, -1]))
            assigned[patient] = split
            lacking[split] -= counts[patient]
    return assigned


def _read(
    dataset: Dataset, progress: Callable[[int], None], schema: FindingSchema
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Ints]:
    """Fingerprints [N] of studies and of patients, and [N,F+1]: 1 for each finding that is there, and 1."""
    studies = np.zeros(len(dataset), dtype=np.uint64)
    patients = np.zeros(len(dataset), dtype=np.uint64)
    findings = np.ones((len(dataset), len(schema.findings) + 1), dtype=np.int64)
    for place, row in enumerate(rows_of(dataset)):
        studies[place] = fingerprint(row["study_id"])
        patients[place] = fingerprint(row["patient_id"] or f"\0{row['study_id']}")  # which no patient is called
        said = zip(labels_of(row), states_of(row, schema), strict=True)
        findings[place, :-1] = [label == 1 or (label < 0 and state == _PRESENT) for label, state in said]
        progress(place + 1)
    return studies, patients, findings


def _tell(
    counts: Ints, assigned: Ints, ratios: Mapping[str, float], seed: int, schema: FindingSchema
) -> dict[str, Any]:
    totals = {name: counts[assigned == place].sum(axis=0).tolist() for place, name in enumerate(SPLITS)}
    return {
        "method": "patients dealt by iterative stratification of their findings (Sechidis et al., 2011)",
        "seed": seed,
        "ratios": dict(ratios),
        "patients": {name: int((assigned == place).sum()) for place, name in enumerate(SPLITS)},
        "studies": {name: total[-1] for name, total in totals.items()},
        "with": {
            finding: {name: total[place] for name, total in totals.items()}
            for place, finding in enumerate(schema.findings)
        },
    }
