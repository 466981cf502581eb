"""A corpus as a model may be taught it: cleaned texts, images, targets of the finding head; streamed through a file."""

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
from report_gen.records.findings import FindingSchema
from report_gen.records.report import ATTRIBUTES, UNKNOWN_ATTRIBUTES, Section, SectionName, Sentence
from report_gen.records.study import ViewPosition

from ..recipe.schema import CorpusRecipe, Recipe, TextRecipe
from ..run.reporting import OnProgress, reported, unheard
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


def nothing_known(schema: FindingSchema) -> NDArray[np.float32]:
    """Return labels [F] of a study of which the corpus specifies none."""
    return np.full(len(schema.findings), np.nan, dtype=np.float32)


@dataclass(frozen=True)
class Study:
    """A study of a corpus, its text cleaned and cut into sections; either images or sections may be empty."""

    study_id: str
    patient_id: str
    split: str
    images: tuple[Path, ...]
    views: tuple[ViewPosition, ...]
    indication: str
    sections: tuple[Section, ...]
    labels: NDArray[np.float32]
    """[F] 1 or 0 as the corpus has them, NaN where nothing is known."""
    targets: NDArray[np.float32]
    """[F] 0..1 of the finding head: the labels, or softer; NaN where nothing is known."""
    attributes: tuple[str, ...] = UNKNOWN_ATTRIBUTES
    """Values in the order of `ATTRIBUTES`, empty where nothing is known."""


class Studies(Iterable[Study]):
    """The studies of one corpus that teach something, read from their files at every pass.

    Args:
        files: of cleaned studies.
        sections: without all of these a study loses its text.
    """

    def __init__(self, files: Sequence[Rows], sections: Iterable[SectionName]) -> None:
        self._files, self._sections = files, frozenset(sections)

    def __iter__(self) -> Iterator[Study]:
        for file in self._files:
            for row in file:
                study = self._complete(_from_row(row))
                if study.images or study.sections:
                    yield study

    def _complete(self, study: Study) -> Study:
        there = {section.name for section in study.sections}
        return study if there >= self._sections else replace(study, sections=())


def read_studies(
    corpus: CorpusRecipe,
    recipe: Recipe,
    folder: Path,
    *,
    schema: FindingSchema,
    store: Path,
    on_progress: OnProgress = unheard,
) -> Studies:
    """The studies of a corpus, cleaned, and those put together from its training reports; their files lie in a folder.

    Args:
        schema: the findings of the labels.
        store: where the corpus is unpacked as far as it needs to be; its images stay there.

    Raises:
        CorpusError: the corpus cannot be read, or nothing of it is left.
        OutputError: the folder cannot be written.
    """
    path, text = recipe.resolve(corpus.path), recipe.text
    cleaned, made = folder / "cleaned.arrow", folder / "recombined.arrow"
    dataset = read_corpus(path, layout=corpus.layout, require_images=corpus.use_images, store=store, schema=schema)
    told = reported(dataset, f"cleaning {corpus.name}", len(dataset), on_progress)
    studies = _clean_all(told, *read_targets(dataset, corpus.soft_labels), corpus, text, schema)
    columns, unlabeled = _columns(len(schema.findings)), nothing_known(schema)
    write_rows(cleaned, columns, map(_to_row, studies))
    files = [Rows(cleaned)]
    if next(iter(Studies(files, text.sections)), None) is None:
        raise CorpusError(f"{path}: nothing is left of the corpus {corpus.name!r}; loosen its text settings")
    if corpus.augmented_texts:
        reports = _Reports(files[0])
        random = np.random.default_rng(recipe.seed)
        augmented = augment_texts(reports, corpus.augmented_texts, random, schema)
        write_rows(made, columns, map(_to_row, _recombined(augmented, unlabeled)))
        files.append(Rows(made))
    return Studies(files, text.sections)


class _Reports(Sequence[Report]):
    """The training reports of a file of studies, taken apart when they are asked for."""

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
) -> Iterator[Study]:
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
) -> Study:
    sections = clean_report(row, drop_priors=text.drop_priors, drop_sides=text.drop_sides) if corpus.use_texts else ()
    if text.drop_contradictions:
        sections = drop_contradictions(sections, schema)
    return Study(
        study_id=row["study_id"],
        patient_id=row["patient_id"],
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
    """The split of a study; equal patients get equal splits, whatever else the corpus holds."""
    split: str = row["split"]
    if not hold_out:
        return split
    if split == "val":
        return "test"
    patient = (row["patient_id"] or row["study_id"]).encode()
    fraction = int.from_bytes(hashlib.sha256(patient).digest()[:8], "big") / 2**64
    return "val" if split == "train" and fraction < hold_out else split


def _recombined(reports: Iterable[Report], unlabeled: NDArray[np.float32]) -> Iterator[Study]:
    for number, sections in enumerate(reports):
        yield Study(
            study_id=f"recombined-{number}",
            patient_id="",
            split="train",
            images=(),
            views=(),
            indication="",
            sections=sections,
            labels=unlabeled,
            targets=unlabeled,
        )


def _to_row(study: Study) -> Row:
    sections = [{"name": s.name.value, "sentences": [one.text for one in s.sentences]} for s in study.sections]
    plain = {"images": list(map(str, study.images)), "views": list(map(str, study.views)), "sections": sections}
    arrays = {"labels": study.labels.tolist(), "targets": study.targets.tolist()}
    return vars(study) | plain | arrays | {"attributes": list(study.attributes)}


def _from_row(row: Row) -> Study:
    return Study(
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
