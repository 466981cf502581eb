"""A study of a corpus with its cleaned report, and its row in an Arrow file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from report_gen.corpora import ORDER_COLUMNS, FindingBox
from report_gen.labeling import report_labels
from report_gen.records import (
    ATTRIBUTES,
    UNKNOWN_ATTRIBUTES,
    FindingSchema,
    Section,
    SectionName,
    Sentence,
    ViewOffset,
    ViewPosition,
    format_report,
)

from .arrow_rows import Row


def unknown_labels(schema: FindingSchema) -> NDArray[np.float32]:
    """Return the labels [F] of a study without any: NaN."""
    return np.full(len(schema.findings), np.nan, dtype=np.float32)


def text_labels(sections: tuple[Section, ...], schema: FindingSchema) -> NDArray[np.float32]:
    """Return the labels [F] that a report gives, NaN for uncertain findings; see `report_labels`."""
    return np.array(report_labels(format_report(sections), schema), dtype=np.float32)


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
    boxes: tuple[FindingBox, ...] = ()
    """Boxes around findings in the images."""
    source: str = ""
    """Part of the corpus that the study comes from; empty if unknown."""
    calibrates: bool = True
    """Whether the study is used for calibration and thresholds if it is a validation study."""
    sampling_weight: float = 1.0
    """How often the study is drawn, relative to others."""
    loss_weight: float = 1.0
    """Weight of the study in every loss."""
    normalization: tuple[float, ...] = ()
    """Mean and standard deviation by which the images are normalized; empty for those of the model."""
    attributes: tuple[str, ...] = UNKNOWN_ATTRIBUTES
    """Values in the order of `ATTRIBUTES`; empty if unknown."""
    offsets: tuple[ViewOffset, ...] = ()
    """Offset of each image; empty if nothing is known of them."""
    prior_views: int = 0
    """How many of the images, the last ones, are of the prior study."""
    comparison: str = ""
    """What the prompt says about the prior study; empty without one."""
    prior_report: str = ""
    """Report of the prior study."""
    study_description: str = ""
    """DICOM Study Description."""
    admitting_diagnoses: str = ""
    """DICOM Admitting Diagnoses Description."""


_BOX = [
    ("finding", pa.string()),
    *((edge, pa.float32()) for edge in ("left", "top", "right", "bottom")),
    ("image", pa.int32()),
]
"""Columns of a `FindingBox`."""
OFFSET_TYPE = pa.list_(pa.float32(), len(ViewOffset._fields))
"""Type of a `ViewOffset`."""


_PROMPT_TEXTS = ("comparison", "prior_report", *ORDER_COLUMNS)
"""Texts of a study that a prompt may have besides the indication."""


def study_columns(findings: int) -> pa.Schema:
    """Return the columns of the rows that `study_to_row` writes for F findings."""
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
            ("boxes", pa.list_(pa.struct(_BOX))),
            ("source", pa.string()),
            ("calibrates", pa.bool_()),
            ("sampling_weight", pa.float32()),
            ("loss_weight", pa.float32()),
            ("normalization", pa.list_(pa.float32())),
            ("attributes", pa.list_(pa.string(), len(ATTRIBUTES))),
            ("offsets", pa.list_(OFFSET_TYPE)),
            ("prior_views", pa.int32()),
            *((name, pa.string()) for name in _PROMPT_TEXTS),
        ]
    )


def study_to_row(study: CorpusStudy) -> Row:
    """Return a study as a row of an Arrow file."""
    sections = [{"name": s.name.value, "sentences": [one.text for one in s.sentences]} for s in study.sections]
    plain = {"images": list(map(str, study.images)), "views": list(map(str, study.views)), "sections": sections}
    arrays = {"labels": study.labels.tolist(), "targets": study.targets.tolist()}
    return vars(study) | plain | arrays | {"boxes": [box._asdict() for box in study.boxes]}


def study_from_row(row: Row) -> CorpusStudy:
    """Return the study of a row."""
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
        boxes=tuple(FindingBox(**box) for box in row["boxes"]),
        source=row["source"],
        calibrates=row["calibrates"],
        sampling_weight=row["sampling_weight"],
        loss_weight=row["loss_weight"],
        normalization=tuple(row["normalization"]),
        attributes=tuple(row["attributes"]),
        offsets=tuple(ViewOffset(*offset) for offset in row["offsets"]),
        prior_views=row["prior_views"],
        **{name: row[name] for name in _PROMPT_TEXTS},
    )
