"""Store the examples of one split in a memory-mapped file; only what sampling needs of them is in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from report_gen.records import ATTRIBUTES, LOCATION_PARTS, AttributeName, ViewOffset, ViewPosition

from .arrow_rows import Row, Rows, write_rows
from .box_geometry import ExampleBox
from .corpus_study import OFFSET_TYPE
from .examples import EncodedReport, TrainingExample

Examples = Mapping[str, Mapping[str, "ExampleStore"]]
"""Corpus name -> split -> examples."""


_BOX = [
    ("finding", pa.int16()),
    ("image", pa.int32()),
    *((edge, pa.float32()) for edge in ("left", "top", "right", "bottom")),
]
"""Columns of an `ExampleBox`."""
_REPORT = [("ids", pa.list_(pa.int32())), ("abnormal", pa.list_(pa.bool_())), ("text", pa.string())]
"""Columns of an `EncodedReport`."""


def _columns(findings: int) -> pa.Schema:
    return pa.schema(
        [
            ("study_id", pa.string()),
            ("patient_id", pa.string()),
            ("images", pa.list_(pa.string())),
            ("views", pa.list_(pa.string())),
            ("prompts", pa.list_(pa.list_(pa.int32()))),
            ("report_ids", pa.list_(pa.int32())),
            ("abnormal", pa.list_(pa.bool_())),
            ("reference", pa.string()),
            ("states", pa.list_(pa.int8(), findings)),
            ("locations", pa.list_(pa.list_(pa.bool_(), len(LOCATION_PARTS)), findings)),
            ("labels", pa.list_(pa.float32(), findings)),
            ("targets", pa.list_(pa.float32(), findings)),
            ("location_targets", pa.list_(pa.float32(), findings * len(LOCATION_PARTS))),
            ("boxes", pa.list_(pa.struct(_BOX))),
            ("source", pa.string()),
            ("calibrates", pa.bool_()),
            ("sampling_weight", pa.float32()),
            ("loss_weight", pa.float32()),
            ("normalization", pa.list_(pa.float32())),
            ("attributes", pa.list_(pa.string(), len(ATTRIBUTES))),
            ("offsets", pa.list_(OFFSET_TYPE)),
            ("prior_views", pa.int32()),
            ("without_places", pa.struct(_REPORT)),
        ]
    )


def write_examples(path: Path, examples: Iterable[TrainingExample], *, findings: int) -> None:
    """Write examples of one finding schema to a file, streaming.

    Args:
        findings: Number of findings F of the schema.

    Raises:
        OutputError: The file cannot be written; the message names it and the remedy.
    """
    write_rows(path, _columns(findings), map(_to_row, examples))


class ExampleStore(Sequence[TrainingExample]):
    """The examples of a file written by `write_examples`, or a selection of them.

    Args:
        rows: All rows of the file.
        indices: Rows to use, in this order; None uses all.
    """

    def __init__(self, rows: Rows, indices: NDArray[np.int64] | None = None) -> None:
        self._rows = rows
        self._indices = np.arange(len(rows)) if indices is None else indices
        self.lengths: NDArray[np.int32] = _sizes(rows, "report_ids")[self._indices]
        """[n] report tokens per example; 0 if it has no report."""
        self.views: NDArray[np.int32] = _sizes(rows, "images")[self._indices]
        """[n] images per example."""
        self.states: NDArray[np.int8] = _states(rows)[self._indices]
        """[n,F] indices into STATES."""
        self.sampling_weights: NDArray[np.float32] = rows.column("sampling_weight").to_numpy()[self._indices]
        """[n] how often each example is drawn, relative to others."""
        self.sources: NDArray[np.int32] = _codes(rows, "source")[self._indices]
        """[n] number of the source of each example; the numbers have no meaning of their own."""

    @property
    def labels(self) -> NDArray[np.float32]:
        """[n,F] labels: 1 or 0, NaN if unknown."""
        flat: NDArray[np.float32] = self._rows.column("labels").combine_chunks().flatten().to_numpy()
        return flat.reshape(len(self._rows), self.states.shape[1])[self._indices]

    @property
    def patients(self) -> list[str]:
        """Patient of each of the n examples; the study if the corpus does not name the patient."""
        names: list[str] = self._rows.column("patient_id").combine_chunks().take(pa.array(self._indices)).to_pylist()
        return names

    @property
    def calibrates(self) -> NDArray[np.bool_]:
        """[n] whether each example is used for calibration and thresholds if it is validation data."""
        chosen: NDArray[np.bool_] = self._rows.column("calibrates").to_numpy()
        return chosen[self._indices]

    @property
    def location_targets(self) -> NDArray[np.float32]:
        """[n,F,P] targets of the location head: 1 or 0, NaN if unknown."""
        flat: NDArray[np.float32] = self._rows.column("location_targets").combine_chunks().flatten().to_numpy()
        return flat.reshape(len(self._rows), -1, len(LOCATION_PARTS))[self._indices]

    @property
    def kinds(self) -> NDArray[np.bool_]:
        """[n,2]: whether an example has images, and whether it has a report. A batch holds one kind."""
        return np.stack([self.views > 0, self.lengths > 0], axis=1)

    @property
    def max_prompt_tokens(self) -> int:
        """Tokens of the longest prompt in the whole file; 0 if it is empty."""
        return int(pc.max(pc.list_value_length(pc.list_flatten(self._rows.column("prompts")))).as_py() or 0)

    def select(self, indices: NDArray[np.int64]) -> ExampleStore:
        """Return the examples at `indices`, in this order."""
        return ExampleStore(self._rows, self._indices[indices])

    def normalizations(self) -> dict[str, tuple[float, ...]]:
        """Return the mean and standard deviation of the images that are not normalized as the model does, by path."""
        known = np.flatnonzero(pc.list_value_length(self._rows.column("normalization")).to_numpy())
        return {
            path: tuple(self._rows.value(int(index), "normalization"))
            for index in np.intersect1d(known, self._indices)
            for path in self._rows.value(int(index), "images")
        }

    def image_paths(self) -> Iterator[str]:
        """Yield the image paths of all examples."""
        for index in self._indices:
            yield from self._rows.value(int(index), "images")

    def view_counts(self, *, with_prior: bool = True) -> Counter[tuple[ViewPosition, ...]]:
        """Count the examples by their views, with or without those of the images of prior studies."""
        counts: Counter[tuple[str, ...]] = Counter()
        for index in map(int, self._indices):
            views = tuple(self._rows.value(index, "views"))
            counts[views if with_prior else views[: len(views) - self._rows.value(index, "prior_views")]] += 1
        return Counter({tuple(map(ViewPosition, views)): count for views, count in counts.items()})

    def attribute_counts(self, name: AttributeName) -> Counter[str]:
        """Count the values of an attribute among the examples with images; unknown values are not counted."""
        values = self._rows.column("attributes").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        known = values.reshape(-1, len(ATTRIBUTES))[self._indices[self.views > 0], ATTRIBUTES.index(name)]
        return Counter(filter(None, known.tolist()))

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> TrainingExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrainingExample]: ...
    def __getitem__(self, index: int | slice) -> TrainingExample | list[TrainingExample]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return _from_row(self._rows[int(self._indices[index])])


def group_by_kind(store: ExampleStore) -> list[ExampleStore]:
    """Split examples into groups of one kind: with images, with reports, with both."""
    kinds = store.kinds
    return [store.select(np.flatnonzero((kinds == kind).all(axis=1))) for kind in np.unique(kinds, axis=0)]


def merge_normalizations(stores: Iterable[ExampleStore]) -> dict[str, tuple[float, ...]]:
    """Return the mean and standard deviation of the images that have their own, by path."""
    return {path: own for store in stores for path, own in store.normalizations().items()}


def _sizes(rows: Rows, column: str) -> NDArray[np.int32]:
    sizes: NDArray[np.int32] = pc.list_value_length(rows.column(column)).to_numpy()
    return sizes


def _codes(rows: Rows, column: str) -> NDArray[np.int32]:
    """Return a number for the text of each row; equal texts have equal numbers."""
    codes: NDArray[np.int32] = rows.column(column).combine_chunks().dictionary_encode().indices.to_numpy()
    return codes


def _states(rows: Rows) -> NDArray[np.int8]:
    column = rows.column("states")
    states: NDArray[np.int8] = column.combine_chunks().flatten().to_numpy()
    return states.reshape(len(column), column.type.list_size)


def _to_row(example: TrainingExample) -> Row:
    return vars(example) | {
        "images": list(map(str, example.images)),
        "views": list(map(str, example.views)),
        "states": example.states.tolist(),
        "locations": example.locations.tolist(),
        "labels": example.labels.tolist(),
        "targets": example.targets.tolist(),
        "location_targets": example.location_targets.ravel().tolist(),
        "boxes": [box._asdict() for box in example.boxes],
        "attributes": list(example.attributes),
        "without_places": vars(example.without_places) if example.without_places else None,
    }


def _from_row(row: Row) -> TrainingExample:
    return TrainingExample(
        study_id=row["study_id"],
        patient_id=row["patient_id"],
        images=tuple(map(Path, row["images"])),
        views=tuple(map(ViewPosition, row["views"])),
        prompts=tuple(map(tuple, row["prompts"])),
        report_ids=tuple(row["report_ids"]),
        abnormal=tuple(row["abnormal"]),
        reference=row["reference"],
        states=np.array(row["states"], dtype=np.int64),
        locations=np.array(row["locations"], dtype=np.bool_).reshape(len(row["states"]), len(LOCATION_PARTS)),
        labels=np.array(row["labels"], dtype=np.float32),
        targets=np.array(row["targets"], dtype=np.float32),
        location_targets=np.array(row["location_targets"], dtype=np.float32).reshape(-1, len(LOCATION_PARTS)),
        boxes=tuple(ExampleBox(**box) for box in row["boxes"]),
        source=row["source"],
        calibrates=row["calibrates"],
        sampling_weight=row["sampling_weight"],
        loss_weight=row["loss_weight"],
        normalization=tuple(row["normalization"]),
        attributes=tuple(row["attributes"]),
        offsets=tuple(ViewOffset(*offset) for offset in row["offsets"]),
        prior_views=row["prior_views"],
        without_places=_report_from_row(row["without_places"]),
    )


def _report_from_row(row: Row | None) -> EncodedReport | None:
    return None if row is None else EncodedReport(tuple(row["ids"]), tuple(row["abnormal"]), row["text"])
