"""Read a corpus for training: clean its texts and take its images, labels and head targets, streaming through files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.records import (
    ATTRIBUTES,
    UNKNOWN_ATTRIBUTES,
    FindingSchema,
    Section,
    SectionName,
    Sentence,
    ViewPosition,
)

from ..recipe import CorpusRecipe, Recipe, TextRecipe
from ..run import OnProgress, ignore_progress, report_progress
from .arrow_rows import Row, Rows, write_rows
from .targets import read_targets
from .text_augmentation import Report, augment_texts
from .text_cleaning import clean_report, drop_contradictions


def _columns(findings: int) -> pa.Schema:
    return pa.schema(
        [
            ("study_id", pa.string()),
            ("patient_id", pa.string()),
            ("split", pa.string()),
            ("images", pa.list_(pa.string())),
            ("views", pa.list_(pa.string())),
            ("indication", pa.string()),
            ("sections", pa.list_(pa.struct([("name", pa.string()), ("sentences", pa.list_(pa.string()))]))),
            ("labels", pa.list_(pa.float32(), findings)),
            ("targets", pa.list_(pa.float32(), findings)),
            ("attributes", pa.list_(pa.string(), len(ATTRIBUTES))),
        ]
    )


def unknown_labels(schema: FindingSchema) -> NDArray[np.float32]:
    """Return the labels [F] of a study without any: NaN."""
    return np.full(len(schema.findings), np.nan, dtype=np.float32)


@dataclass(frozen=True)
class CorpusStudy:
    """A study of a corpus with its cleaned report; it has images, a report, or both."""

    study_id: str
    patient_id: str
    """The study if the corpus does not name the patient; empty if the text was made by augmentation."""
    split: str
    images: tuple[Path, ...]
    views: tuple[ViewPosition, ...]
    indication: str
    sections: tuple[Section, ...]
    labels: NDArray[np.float32]
    """[F] labels of the corpus: 1 or 0, NaN if unknown."""
    targets: NDArray[np.float32]
    """[F] targets of the finding head, 0..1: the labels, or a mix with soft labels; NaN if unknown."""
    attributes: tuple[str, ...] = UNKNOWN_ATTRIBUTES
    """Values in the order of `ATTRIBUTES`; empty if unknown."""


class CorpusStudies(Iterable[CorpusStudy]):
    """The studies of one corpus that have an image or a report; every iteration reads them from their files.

    Args:
        files: Files of cleaned studies.
        sections: Required sections; a study that lacks one of them is used without its report.
    """

    def __init__(self, files: Sequence[Rows], sections: Iterable[SectionName]) -> None:
        self._files, self._sections = files, frozenset(sections)

    def __iter__(self) -> Iterator[CorpusStudy]:
        for file in self._files:
            for row in file:
                study = self._require_sections(_from_row(row))
                if study.images or study.sections:
                    yield study

    def _require_sections(self, study: CorpusStudy) -> CorpusStudy:
        present = {section.name for section in study.sections}
        return study if present >= self._sections else replace(study, sections=())


def read_studies(
    corpus: CorpusRecipe,
    recipe: Recipe,
    folder: Path,
    *,
    schema: FindingSchema,
    store: Path,
    on_progress: OnProgress = ignore_progress,
) -> CorpusStudies:
    """Read and clean the studies of a corpus, and add reports made by text augmentation if the recipe asks for them.

    Args:
        folder: Where the cleaned studies are written.
        schema: The findings of the labels.
        store: Where the corpus is unpacked if necessary; its images stay there.

    Raises:
        CorpusError: The corpus cannot be read, or no study of it is left.
        OutputError: The folder cannot be written.
    """
    path, text = recipe.resolve(corpus.path), recipe.text
    cleaned, augmented = folder / "cleaned.arrow", folder / "augmented.arrow"
    dataset = read_corpus(
        path,
        layout=corpus.layout,
        require_images=corpus.use_images if recipe.unreadable == "refuse" else None,
        store=store,
        schema=schema,
        columns=corpus.columns,
    )
    rows = report_progress(dataset, f"cleaning {corpus.name}", len(dataset), on_progress)
    studies = _clean_all(rows, *read_targets(dataset, corpus.soft_labels), corpus, text, schema)
    columns = _columns(len(schema.findings))
    write_rows(cleaned, columns, map(_to_row, studies))
    files = [Rows(cleaned)]
    if next(iter(CorpusStudies(files, text.sections)), None) is None:
        raise CorpusError(
            f"{path}: no study of the corpus {corpus.name!r} is left; relax text.sections or the text.drop_ keys"
        )
    if corpus.augmented_texts:
        random = np.random.default_rng(recipe.seed)
        reports = augment_texts(_Reports(files[0]), corpus.augmented_texts, random, schema)
        write_rows(augmented, columns, map(_to_row, _text_studies(reports, unknown_labels(schema))))
        files.append(Rows(augmented))
    return CorpusStudies(files, text.sections)


class _Reports(Sequence[Report]):
    """The training reports of a file of studies, read one at a time."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._places = np.flatnonzero(np.asarray(rows.column("split").to_numpy()) == "train")

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Report: ...
    @overload
    def __getitem__(self, index: slice) -> list[Report]: ...
    def __getitem__(self, index: int | slice) -> Report | list[Report]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return _from_row(self._rows[int(self._places[index])]).sections


def _clean_all(
    rows: Iterable[Row],
    labels: NDArray[np.float32],
    targets: NDArray[np.float32],
    corpus: CorpusRecipe,
    text: TextRecipe,
    schema: FindingSchema,
) -> Iterator[CorpusStudy]:
    for row, label, target in zip(rows, labels, targets, strict=True):
        if row["study_id"] not in corpus.exclude:
            yield _clean(row, corpus, text, schema, label, target)


def _clean(
    row: Mapping[str, Any],
    corpus: CorpusRecipe,
    text: TextRecipe,
    schema: FindingSchema,
    labels: NDArray[np.float32],
    targets: NDArray[np.float32],
) -> CorpusStudy:
    sections: tuple[Section, ...] = ()
    if corpus.use_texts:
        sections = clean_report(row, drop_priors=text.drop_priors, drop_sides=text.drop_sides, schema=schema)
    if text.drop_contradictions:
        sections = drop_contradictions(sections, schema)
    return CorpusStudy(
        study_id=row["study_id"],
        patient_id=row["patient_id"] or row["study_id"],
        split=_split(row, corpus.hold_out),
        images=tuple(map(Path, row["images"])) if corpus.use_images else (),
        views=tuple(map(ViewPosition, row["view_positions"])),
        indication=row["indication"],
        sections=sections,
        labels=labels,
        targets=targets,
        attributes=tuple(row[name] for name in ATTRIBUTES),
    )


def _split(row: Mapping[str, Any], hold_out: float) -> str:
    """Return the split of a study. It depends on the patient alone, so all studies of a patient share one split."""
    split: str = row["split"]
    if not hold_out:
        return split
    if split == "val":
        return "test"
    patient = (row["patient_id"] or row["study_id"]).encode()
    fraction = int.from_bytes(hashlib.sha256(patient).digest()[:8], "big") / 2**64
    return "val" if split == "train" and fraction < hold_out else split


def _text_studies(reports: Iterable[Report], labels: NDArray[np.float32]) -> Iterator[CorpusStudy]:
    for number, sections in enumerate(reports):
        yield CorpusStudy(
            study_id=f"augmented-{number}",
            patient_id="",
            split="train",
            images=(),
            views=(),
            indication="",
            sections=sections,
            labels=labels,
            targets=labels,
        )


def _to_row(study: CorpusStudy) -> Row:
    sections = [{"name": s.name.value, "sentences": [one.text for one in s.sentences]} for s in study.sections]
    plain = {"images": list(map(str, study.images)), "views": list(map(str, study.views)), "sections": sections}
    arrays = {"labels": study.labels.tolist(), "targets": study.targets.tolist()}
    return vars(study) | plain | arrays | {"attributes": list(study.attributes)}


def _from_row(row: Row) -> CorpusStudy:
    return CorpusStudy(
        study_id=row["study_id"],
        patient_id=row["patient_id"],
        split=row["split"],
        images=tuple(map(Path, row["images"])),
        views=tuple(map(ViewPosition, row["views"])),
        indication=row["indication"],
        sections=tuple(
            Section(SectionName(section["name"]), tuple(map(Sentence, section["sentences"])))
            for section in row["sections"]
        ),
        labels=np.array(row["labels"], dtype=np.float32),
        targets=np.array(row["targets"], dtype=np.float32),
        attributes=tuple(row["attributes"]),
    )
