"""A study as a row of numbers, about 150 bytes: a million fit in memory where their texts would not."""

from __future__ import annotations

from typing import Any

import numpy as np

from report_gen.auditing.text_audit import has_deidentification_mark, mentions_prior
from report_gen.corpora import SPLITS
from report_gen.corpus_qc.rows import SECTIONS, Row
from report_gen.corpus_qc.text_statistics import fingerprint, words_of
from report_gen.labeling.labeler import label_findings
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import split_sentences

TEXTS = ("findings", "impression", "report")
"""What may stand in two studies word for word; a report is findings and impression."""
STATES = tuple(FindingState)
OTHER_SPLIT = len(SPLITS)


def study_dtype(schema: FindingSchema) -> np.dtype[Any]:
    """Return the record of one study.

    study, patient, texts: `fingerprint`s, 0 where there is nothing; split: place in SPLITS or OTHER_SPLIT; words: how
    many in each of SECTIONS; marked: by de-identification; sentences: of the report, and those about an earlier study;
    damaged: holds NUL; states: of the findings, places in STATES; labels: 1, 0, or -1 where the corpus gives none.
    """
    findings = (len(schema.findings),)
    return np.dtype(
        [
            ("study", np.uint64),
            ("patient", np.uint64),
            ("split", np.uint8),
            ("images", np.uint32),
            ("texts", np.uint64, len(TEXTS)),
            ("words", np.uint32, len(SECTIONS)),
            ("marked", np.bool_, len(SECTIONS)),
            ("sentences", np.uint32),
            ("prior_sentences", np.uint32),
            ("damaged", np.bool_),
            ("states", np.uint8, findings),
            ("labels", np.int8, findings),
        ]
    )


def describe_study(row: Row, words: list[str], schema: FindingSchema) -> tuple[Any, ...]:
    """Return the fields of `study_dtype`; `words` are those of the report."""
    texts = [row[section] for section in SECTIONS]
    sentences = [sentence.text for text in texts[2:] for sentence in split_sentences(text)]
    return (
        fingerprint(row["study_id"]),
        fingerprint(row["patient_id"]),
        SPLITS.index(row["split"]) if row["split"] in SPLITS else OTHER_SPLIT,
        len(row["images"]),
        (*(fingerprint(" ".join(words_of(text))) for text in texts[2:]), fingerprint(" ".join(words))),
        [len(text.split()) for text in texts],
        [has_deidentification_mark(text) for text in texts],
        len(sentences),
        sum(map(mentions_prior, sentences)),
        any("\0" in text for text in (row["study_id"], *texts)),
        states_of(row, schema),
        labels_of(row),
    )


def report_of(row: Row) -> str:
    """Findings and impression."""
    return "\n".join(text for text in (row["findings"], row["impression"]) if text)


def states_of(row: Row, schema: FindingSchema) -> list[int]:
    """What the report says of each finding, as places in STATES."""
    return [STATES.index(state) for state in label_findings(report_of(row), schema).values()]


def labels_of(row: Row) -> list[int]:
    """1 or 0 for each finding, -1 where the corpus says nothing."""
    return [-1 if label is None else int(label > 0.5) for label in row["labels"]]
