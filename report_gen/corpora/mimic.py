"""Layouts `mimic-cxr` and `mimic-cxr-jpg`: the corpora of Johnson et al., Scientific Data 2019, as on PhysioNet.

A folder with `files/p10/p10000032/s50414267/*.dcm` or `*.jpg`, and the tables of the two projects, compressed (.gz) or
not: images by study (cxr-record-list.csv, or one of the next two), split (mimic-cxr-2.0.0-split.csv), views
(mimic-cxr-2.0.0-metadata.csv) and labels (mimic-cxr-2.0.0-chexpert.csv). Report texts are files such as
`files/p10/p10000032/s50414267.txt` in the folder itself, in `reports/`, in `mimic-cxr-reports/`, or in
mimic-cxr-reports.zip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example, split_name
from report_gen.corpora.mimic_reports import ReportTexts
from report_gen.corpora.mimic_tables import find_table, read_records
from report_gen.errors import CorpusError
from report_gen.labeling import cut_report
from report_gen.records import FindingSchema, ViewPosition

CHEXPERT = "chexpert"
"""Subset of a finding schema whose names are the columns of the label table."""

_FOLDERS_EXAMINED = 20


def matches_dicom(path: Path) -> bool:
    """Return whether a path has the layout of MIMIC-CXR."""
    return _matches(path, ".dcm", "record-list")


def matches_jpeg(path: Path) -> bool:
    """Return whether a path has the layout of MIMIC-CXR-JPG."""
    return _matches(path, ".jpg", "metadata")


def read_dicom(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Yield the studies of MIMIC-CXR."""
    return _read(path, schema, ".dcm", ("record-list", "metadata", "split"))


def read_jpeg(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Yield the studies of MIMIC-CXR-JPG with the texts of MIMIC-CXR."""
    return _read(path, schema, ".jpg", ("metadata", "split", "record-list"))


def _matches(path: Path, suffix: str, table: str) -> bool:
    """Return whether the first study folders have such images; without images, whether the table exists."""
    if not path.is_dir() or not any((path / "files").glob("p[0-9][0-9]")):
        return path.is_dir() and find_table(path, table) is not None
    studies = islice((path / "files").glob("p[0-9][0-9]/p*/s*/"), _FOLDERS_EXAMINED)
    suffixes = {file.suffix for study in studies for file in study.glob("*")} & {".dcm", ".jpg"}
    return suffix in suffixes if suffixes else find_table(path, table) is not None


def _read(path: Path, schema: FindingSchema, suffix: str, tables: Sequence[str]) -> Iterator[Example]:
    """Yield the studies in the order of their patients.

    Raises:
        CorpusError: A table is missing or differs from that of PhysioNet, or there is neither a text nor a label.
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
            f"{path}: neither report texts nor labels found; put mimic-cxr-reports.zip or its content beside 'files'"
        )


def _example(
    records: list[dict[str, Any]], findings: Sequence[str], folder: Path, suffix: str, reports: ReportTexts
) -> Example:
    subject, study = records[0]["subject_id"], records[0]["study_id"]
    location = f"files/p{subject[:2]}/p{subject}/s{study}"
    texts: dict[str, Any] = cut_report(reports.read(location))
    return Example(
        study_id=study,
        patient_id=subject,
        images=tuple(str(folder / location / f"{record['dicom_id']}{suffix}") for record in records),
        view_positions=tuple(ViewPosition.from_term(record["ViewPosition"] or "").value for record in records),
        **texts,
        labels=_known_labels(records[0], findings),
        split=split_name(records[0]["split"]),
    )


def _known_labels(record: dict[str, Any], findings: Sequence[str]) -> dict[str, float]:
    """Return the labels that are 0 or 1. CheXpert uses -1 for uncertain, which counts as unknown."""
    return {name: record[name] for name in findings if record[name] in (0, 1)}
