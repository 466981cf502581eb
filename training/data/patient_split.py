"""Assign the studies of all corpora to splits, so that no patient is in two of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpora import SPLITS, is_of_source, is_synthetic
from report_gen.errors import CorpusError, RecipeError

from ..recipe import CorpusSource

LEFT_OUT = "left out"
"""Split of a study that is not used: its patient is validation or test data through other studies, or the recipe does
not use its split."""


def assign_splits(corpora: Sequence[CorpusSource], datasets: Mapping[str, Dataset]) -> dict[str, NDArray[np.str_]]:
    """Return the split of every study: train, val, test or LEFT_OUT.

    The corpora define the splits (`hold_out` changes them). A study may be validation or test data only if its source
    is among the `held_out_sources` of its corpus. A patient is test data if one such study is, else validation data if
    one is, else training data. All studies of a training patient train. Of another patient, the studies of that split
    and of the right sources are used, and the others are left out. Patients are compared over all corpora with the same
    `patient_ids`. Synthetic images are never validation or test data. At last, studies outside the `use_splits` of
    their corpus are left out.

    Args:
        corpora: Recipes of the corpora.
        datasets: Corpus by name, as `read_corpus` returns it.

    Returns:
        Splits [S] by corpus name.

    Raises:
        CorpusError: A corpus has studies without a patient id, although it names the numbering of its patients.
        RecipeError: A recipe names a source that its corpus does not have.
    """
    numberings: dict[str, list[_Studies]] = defaultdict(list)
    for corpus in corpora:
        # A name of a corpus and a name of a numbering may be equal.
        numbering = f"shared {corpus.patient_ids}" if corpus.patient_ids else f"own {corpus.name}"
        numberings[numbering].append(_read(corpus, datasets[corpus.name]))
    splits = {}
    for studies in numberings.values():
        patient_splits = _patient_splits(studies)
        for one in studies:
            splits[one.corpus] = np.array(list(_study_splits(one, patient_splits)), dtype=np.str_)
    return splits


def is_held_out(patient: str, share: float) -> bool:
    """Return whether a training patient is among this share that `hold_out` makes validation data, by a hash."""
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8], "big") / 2**64 < share


def check_sources(names: Iterable[str], sources: Iterable[str], key: str, corpus: str) -> None:
    """Check that a corpus has studies of every source that a key names.

    Raises:
        RecipeError: There is no such source.
    """
    present = sorted(set(sources))
    for name in names:
        if not any(is_of_source(source, name) for source in present):
            known = ", ".join(map(repr, filter(None, present))) or "none: it has no column 'source'"
            raise RecipeError(f"{key}: the corpus {corpus!r} has no source {name!r}; its sources are {known}")


@dataclass(frozen=True)
class _Studies:
    """What the split of the studies of one corpus depends on."""

    corpus: str
    patients: list[tuple[str, str]]
    """Patient id, and the study id if the patient is unknown."""
    splits: list[str]
    """Split that the corpus and `hold_out` give."""
    may_be_held_out: list[bool]
    used: frozenset[str]
    """Splits that are used."""


def _read(corpus: CorpusSource, dataset: Dataset) -> _Studies:
    names = ["study_id", "patient_id", "split", "source"]
    columns = dataset.select_columns(names).with_format("arrow")[:]
    ids, patients, splits, sources = (columns[name].to_pylist() for name in names)
    if corpus.patient_ids and not all(patients):
        raise CorpusError(
            f"the corpus {corpus.name!r} has studies without a patient id, so that its patients cannot be compared "
            "with those of other corpora; remove patient_ids from its recipe, or name the column of the patients"
        )
    keys = [(patient, "" if patient else study) for patient, study in zip(patients, ids, strict=True)]
    held_out = corpus.held_out_sources
    if held_out is not None:
        check_sources(held_out, sources, "held_out_sources", corpus.name)
    return _Studies(
        corpus=corpus.name,
        patients=keys,
        splits=[_hold_out(split, "".join(key), corpus.hold_out) for split, key in zip(splits, keys, strict=True)],
        may_be_held_out=[
            not is_synthetic(source) and (held_out is None or any(is_of_source(source, name) for name in held_out))
            for source in sources
        ],
        used=frozenset(corpus.use_splits),
    )


def _hold_out(split: str, patient: str, share: float) -> str:
    """Return the split of a study if this share of the training patients is held out for validation."""
    if not share:
        return split
    if split == "val":
        return "test"
    return "val" if split == "train" and is_held_out(patient, share) else split


def _patient_splits(corpora: Iterable[_Studies]) -> dict[tuple[str, str], str]:
    """Return the split of each patient: the last of train, val and test among the studies that may be held out."""
    ranks: dict[tuple[str, str], int] = defaultdict(int)
    for studies in corpora:
        for patient, split, allowed in zip(studies.patients, studies.splits, studies.may_be_held_out, strict=True):
            if allowed:
                ranks[patient] = max(ranks[patient], SPLITS.index(split))
    return {patient: SPLITS[rank] for patient, rank in ranks.items()}


def _study_splits(studies: _Studies, patient_splits: Mapping[tuple[str, str], str]) -> Iterator[str]:
    for patient, split, allowed in zip(studies.patients, studies.splits, studies.may_be_held_out, strict=True):
        patient_split = patient_splits.get(patient, "train")
        own = patient_split == "train" or (allowed and split == patient_split)
        yield patient_split if own and patient_split in studies.used else LEFT_OUT
