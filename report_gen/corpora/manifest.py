"""Layout `manifest`: manifest.jsonl, .json or .csv in a folder, or any table file, with one row per study or per image.

The fields of a row and the usual names of their columns are in `columns.USUAL_NAMES`:

    study           rows with the same study id are joined in their order; without ids every row is a study
    patient
    images          a list, or names separated by `;`, relative to the folder of the table
    views           one per image, or one for all: PA, AP, frontal, lateral ...
    offsets_mm, offsets_seconds, offsets_days
                    one per image, empty if unknown: distance from a fixed image along the slices, in time and in date
    is_prior        1 for an image of the prior study, else 0; one per image
    prior_report    report of the prior study
    study_description, admitting_diagnoses
                    of the order, as in the attributes of DICOM
    indication, comparison
    findings, impression
                    or a complete `report`, which `cut_report` splits into sections
    modality, plane, body_part
                    of the images of the study, in terms of DICOM or common words
    split           train, val or test; default train
    <finding>       one column per name or alias of the schema's findings: 1, 0, or empty for unknown
    soft <finding>  probability that another model gives, 0 to 1
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from report_gen.corpora.row_tables import DELIMITED_SUFFIXES, JSON_SUFFIXES, RowTable, file_table
from report_gen.errors import CorpusError

FILES = ("manifest.jsonl", "manifest.json", "manifest.csv", "manifest.tsv")


def matches(path: Path) -> bool:
    """Return whether a path may have this layout."""
    if path.is_dir():
        return any((path / name).is_file() for name in FILES)
    return path.suffix.lower() in (*DELIMITED_SUFFIXES, *JSON_SUFFIXES)


def tables(path: Path) -> Sequence[RowTable]:
    """Return the table of a manifest, or of the folder that contains it.

    Raises:
        CorpusError: The folder contains no manifest.
    """
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if file.is_dir():
        raise CorpusError(f"{path}: contains no {' or '.join(FILES)}; give the file itself")
    return (file_table(file),)
