"""Split a corpus by patient, with each finding in the same proportion in every split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpora import SPLITS, is_synthetic
from report_gen.corpus_qc.rows import Row, rows_of
from report_gen.corpus_qc.study_features import STATES, labels_of, states_of
from report_gen.corpus_qc.text_statistics import fingerprint
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema, FindingState

_PRESENT = STATES.index(FindingState.PRESENT)
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """The split of each study, and how it was made."""

    splits: NDArray[np.uint8]
    """Index in SPLITS [N] of each study."""
    summary: Mapping[str, Any]
    """Method, seed, ratios and counts by split, for a file beside the manifest."""


def split_corpus(
    dataset: Dataset,
    *,
    source: str,
    ratios: Mapping[str, float],
    seed: int,
    progress: Callable[[int], None] = lambda _: None,
    schema: FindingSchema | None = None,
) -> Split:
    """Assign patients to splits. A study with an unknown patient counts as a patient.

    The state of a finding is that of its label, or without a label that of the report. The result does not depend on
    the order of the rows.

    Args:
        dataset: Corpus with the columns of `corpora.corpus_features`; its present split is ignored.
        source: Name of the corpus in error messages.
        ratios: Fraction of studies by split; they sum to 1.
        seed: Seed of the order in which patients are assigned.
        progress: Called with the number of studies that are done.
        schema: The findings with which the dataset was read. Default: those of chest radiographs.

    Raises:
        CorpusError: A study occurs twice or is synthetic, or there are too few patients for the splits.
    """
    if any(map(is_synthetic, dataset["source"])):
        raise CorpusError(f"{source}: contains synthetic images, which are training data only; split it without them")
    schema = schema or chest_xray()
    studies, patients, findings = _read(dataset, progress, schema)
    repeated = len(studies) - len(np.unique(studies))
    if repeated:
        raise CorpusError(f"{source}: {repeated} study ids occur more than once; give each study one entry")
    without_patient = sum(not patient for patient in dataset["patient_id"])
    _, patient_of_study = np.unique(patients, return_inverse=True)
    counts = np.zeros((int(patient_of_study.max(initial=-1)) + 1, findings.shape[1]), dtype=np.int64)
    np.add.at(counts, patient_of_study, findings)
    fractions = np.array([ratios[name] for name in SPLITS])
    assigned = assign_patients(counts, fractions, np.random.default_rng(seed))
    empty = [name for index, name in enumerate(SPLITS) if fractions[index] > 0 and not (assigned == index).any()]
    if empty:
        unnamed = f" ({without_patient} studies have no patient id, so each counts as a patient)"
        raise CorpusError(
            f"{source}: {len(counts)} patients are too few, {', '.join(empty)} would be empty"
            f"{unnamed if without_patient else ''}; add patients, or choose other --ratios"
        )
    summary = {**_summarize(counts, assigned, ratios, seed, schema), "studies_without_patient": without_patient}
    return Split(splits=assigned[patient_of_study].astype(np.uint8), summary=summary)


def split_rows(dataset: Dataset, splits: NDArray[np.uint8]) -> Iterator[Row]:
    """Yield the rows, each with its new split."""
    for row, split in zip(rows_of(dataset), splits.tolist(), strict=True):
        yield {**row, "split": SPLITS[split]}


def assign_patients(counts: Ints, fractions: NDArray[np.float64], random: np.random.Generator) -> Ints:
    """Assign patients to splits by iterative stratification (Sechidis et al., ECML PKDD 2011).

    The rarest finding is assigned first, and patients with most studies of it come first. Each patient goes to the
    split that is farthest below its target for the finding; on a tie, to the one that is farthest below in studies.

    Args:
        counts: [P,K] by patient: studies with each of K-1 findings, and all studies.
        fractions: [S] of the splits, summing to 1. A split with fraction 0 stays empty.
        random: Decides the order of patients with equal counts.

    Returns:
        Index of the split [P] of each patient.
    """
    missing = fractions[:, None] * counts.sum(axis=0)  # [S,K] studies that each split still needs
    missing[fractions == 0] = -np.inf
    assigned = np.full(len(counts), -1, dtype=np.int64)
    order = random.permutation(len(counts))
    while (assigned < 0).any():
        remaining = order[assigned[order] < 0]
        totals = counts[remaining].sum(axis=0)
        column = min(np.flatnonzero(totals).tolist(), key=totals.__getitem__)  # the last column, all studies, is not 0
        candidates = remaining[counts[remaining, column] > 0]
        for patient in candidates[np.argsort(-counts[candidates, column], kind="stable")].tolist():
            split = max(range(len(fractions)), key=lambda index: (missing[index, column], missing[index, -1]))
            assigned[patient] = split
            missing[split] -= counts[patient]
    return assigned


def _read(
    dataset: Dataset, progress: Callable[[int], None], schema: FindingSchema
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Ints]:
    """Return fingerprints [N] of studies and of patients, and findings [N,F+1]: 1 if present, and a column of 1."""
    studies = np.zeros(len(dataset), dtype=np.uint64)
    patients = np.zeros(len(dataset), dtype=np.uint64)
    findings = np.ones((len(dataset), len(schema.findings) + 1), dtype=np.int64)
    for number, row in enumerate(rows_of(dataset)):
        studies[number] = fingerprint(row["study_id"])
        # A study without a patient counts as one. No patient id of a corpus begins with NUL.
        patients[number] = fingerprint(row["patient_id"] or f"\0{row['study_id']}")
        pairs = zip(labels_of(row), states_of(row, schema), strict=True)
        findings[number, :-1] = [label == 1 or (label < 0 and state == _PRESENT) for label, state in pairs]
        progress(number + 1)
    return studies, patients, findings


def _summarize(
    counts: Ints, assigned: Ints, ratios: Mapping[str, float], seed: int, schema: FindingSchema
) -> dict[str, Any]:
    totals = {name: counts[assigned == index].sum(axis=0).tolist() for index, name in enumerate(SPLITS)}
    return {
        "method": "patients assigned by iterative stratification of their findings (Sechidis et al., 2011)",
        "seed": seed,
        "ratios": dict(ratios),
        "patients": {name: int((assigned == index).sum()) for index, name in enumerate(SPLITS)},
        "studies": {name: total[-1] for name, total in totals.items()},
        "findings": {
            finding: {name: total[index] for name, total in totals.items()}
            for index, finding in enumerate(schema.findings)
        },
    }
