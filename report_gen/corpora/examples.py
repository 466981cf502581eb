"""Example: one study of a corpus, the same record from every layout, and the columns it becomes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from datasets import Dataset, Features, List, Value

from report_gen.errors import CorpusError
from report_gen.report import FINDINGS
from report_gen.study import ViewPosition

SPLITS = ("train", "val", "test")
SILENT: tuple[float | None, ...] = (None,) * len(FINDINGS)
"""The labels of a study about whose findings the corpus says nothing."""

FEATURES = Features(
    {
        "study_id": Value("string"),
        "patient_id": Value("string"),
        "images": List(Value("string")),
        "view_positions": List(Value("string")),
        "indication": Value("string"),
        "comparison": Value("string"),
        "findings": Value("string"),
        "impression": Value("string"),
        "labels": List(Value("float32"), length=len(FINDINGS)),
        "soft_labels": List(Value("float32"), length=len(FINDINGS)),
        "split": Value("string"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One study. A text without an image has no `images`, an image without a text has empty strings."""

    study_id: str
    patient_id: str = ""
    """Empty when the corpus does not tell."""
    images: tuple[str, ...] = ()
    """Absolute paths."""
    view_positions: tuple[str, ...] = ()
    """Values of `ViewPosition`, parallel to `images`."""
    indication: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    labels: tuple[float | None, ...] = SILENT
    """1 or 0 in the order of `FINDINGS`; None where the corpus says nothing."""
    soft_labels: tuple[float | None, ...] = SILENT
    """0..1 from another model in the order of `FINDINGS`; None where there is none."""
    split: str = "train"


def build_dataset(examples: Iterable[Example]) -> Dataset:
    """The examples as a table in memory: no report text goes to a cache on disk."""
    return Dataset.from_list([vars(example) for example in examples], features=FEATURES)


def check_examples(examples: list[Example], path: Path) -> None:
    """Refuses a corpus with no study, NUL characters, an unknown split, a study told twice, or a patient in two splits.

    Raises:
        CorpusError: naming the corpus and how many are at fault; never an identifier.
    """
    if not examples:
        raise CorpusError(f"{path}: the corpus has no studies.")
    damaged = sum("\0" in "".join((e.study_id, e.indication, e.comparison, e.findings, e.impression)) for e in examples)
    if damaged:
        raise CorpusError(f"{path}: {damaged} studies have NUL characters in their texts; remove them.")
    strange = sorted({example.split for example in examples} - set(SPLITS))
    if strange:
        raise CorpusError(f"{path}: unknown split {strange[0]!r}; use {', '.join(SPLITS)}.")
    repeated = len(examples) - len({example.study_id for example in examples})
    if repeated:
        raise CorpusError(f"{path}: {repeated} study ids occur more than once; give each study one entry in one split.")
    splits_of_patient: dict[str, set[str]] = {}
    for example in examples:
        splits_of_patient.setdefault(example.patient_id, set()).add(example.split)
    splits_of_patient.pop("", None)
    torn = sum(len(splits) > 1 for splits in splits_of_patient.values())
    if torn:
        raise CorpusError(f"{path}: {torn} patients have studies in more than one split; keep each patient in one.")


def check_images(dataset: Dataset) -> None:
    """Refuses a corpus whose images are not all there.

    Raises:
        CorpusError: with the number of missing images, the first of them and the remedy.
    """
    missing = [image for images in dataset["images"] for image in images if not Path(image).is_file()]
    if missing:
        raise CorpusError(
            f"{missing[0]}: the first of {len(missing)} missing images; put them there, or do not require images."
        )


def without_missing_images(example: Example) -> Example:
    """The example with only those images that are there."""
    there = [pair for pair in zip(example.images, example.view_positions, strict=True) if Path(pair[0]).is_file()]
    return replace(example, images=tuple(i for i, _ in there), view_positions=tuple(v for _, v in there))


_VIEWS = {
    **{view.value: view for view in ViewPosition},
    **dict.fromkeys(("AP SUPINE", "AP ERECT", "AP AXIAL"), ViewPosition.AP),
    **dict.fromkeys(("L", "LL", "RL", "LAT"), ViewPosition.LATERAL),
    **dict.fromkeys(("LLD", "RLD"), ViewPosition.DECUBITUS),
    **dict.fromkeys(("LAO", "RAO", "LPO", "RPO"), ViewPosition.OBLIQUE),
}


def view_position(text: str) -> str:
    """The value of `ViewPosition` for how a corpus calls it; unknown words are UNKNOWN."""
    return _VIEWS.get(" ".join(text.upper().replace("_", " ").split()), ViewPosition.UNKNOWN).value
