"""MIMIC-CXR and MIMIC-CXR-JPG (Johnson et al., Scientific Data 2019) as PhysioNet lays them out.

A folder with `files/p10/p10000032/s50414267/*.dcm` or `*.jpg`, and the tables of the two projects, each as it is or
with .gz behind it: which image belongs to which study (cxr-record-list.csv, or any of the next two), the split
(mimic-cxr-2.0.0-split.csv), views (mimic-cxr-2.0.0-metadata.csv) and labels (mimic-cxr-2.0.0-chexpert.csv). Report
texts are `files/p10/p10000032/s50414267.txt` in the folder itself, in `reports/` or `mimic-cxr-reports/`, or still
packed in mimic-cxr-reports.zip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example, split_name, view_position
from report_gen.corpora.mimic_reports import ReportTexts
from report_gen.corpora.mimic_tables import find_table, read_records
from report_gen.errors import CorpusError
from report_gen.labeling.sections import cut_report
from report_gen.records.findings import FindingSchema

CHEXPERT = "chexpert"
"""Subset of a finding schema whose names are the columns of the label table."""

_FOLDERS_LOOKED_AT = 20


def matches_dicom(path: Path) -> bool:
    return _matches(path, ".dcm", "record-list")


def matches_jpeg(path: Path) -> bool:
    return _matches(path, ".jpg", "metadata")


def read_dicom(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Examples of MIMIC-CXR."""
    return _read(path, schema, ".dcm", ("record-list", "metadata", "split"))


def read_jpeg(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Examples of MIMIC-CXR-JPG; the texts are those of MIMIC-CXR."""
    return _read(path, schema, ".jpg", ("metadata", "split", "record-list"))


def _matches(path: Path, suffix: str, table: str) -> bool:
    """By the images of the first study folders; where there are none, by the table that only one project has."""
    if not path.is_dir() or not any((path / "files").glob("p[0-9][0-9]")):
        return path.is_dir() and find_table(path, table) is not None
    studies = islice((path / "files").glob("p[0-9][0-9]/p*/s*/"), _FOLDERS_LOOKED_AT)
    suffixes = {file.suffix for study in studies for file in study.glob("*")} & {".dcm", ".jpg"}
    return suffix in suffixes if suffixes else find_table(path, table) is not None


def _read(path: Path, schema: FindingSchema, suffix: str, tables: Sequence[str]) -> Iterator[Example]:
    """Studies in the order of their patients, from tables that are joined outside of Python.

    Raises:
        CorpusError: a table is missing or not as PhysioNet has it, or there is neither a text nor a label.
    """
    reports = ReportTexts(path)
    folder = path.resolve()
    has_content = False
    findings = schema.subsets.get(CHEXPERT, ())
    for _, records in groupby(read_records(path, tables, findings), key=lambda record: record["study_id"]):
        example = _example(list(records), findings, folder, suffix, reports)
        has_content = has_content or bool(example.findings or example.impression or example.labels)
        yield example
    if not has_content:
        raise CorpusError(
            f"{path}: no report texts and no labels are here; put mimic-cxr-reports.zip, packed or not, beside 'files'."
        )


def _example(
    records: list[dict[str, Any]], findings: Sequence[str], folder: Path, suffix: str, reports: ReportTexts
) -> Example:
    subject, study = records[0]["subject_id"], records[0]["study_id"]
    place = f"files/p{subject[:2]}/p{subject}/s{study}"
    texts: dict[str, Any] = cut_report(reports.read(place))
    return Example(
        study_id=study,
        patient_id=subject,
        images=tuple(str(folder / place / f"{record['dicom_id']}{suffix}") for record in records),
        view_positions=tuple(view_position(record["ViewPosition"] or "") for record in records),
        **texts,
        labels=_known_labels(records[0], findings),
        split=split_name(records[0]["split"]),
    )


def _known_labels(record: dict[str, Any], findings: Sequence[str]) -> dict[str, float]:
    """CheXpert's -1 (uncertain) is not known."""
    return {name: record[name] for name in findings if record[name] in (0, 1)}
