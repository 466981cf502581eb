"""Describe a study by about 150 bytes of numbers, so that a million studies fit in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from report_gen.auditing import has_deidentification_mark, mentions_prior
from report_gen.corpora import SPLITS
from report_gen.corpus_qc.rows import SECTIONS, Row
from report_gen.corpus_qc.text_statistics import fingerprint, words_of
from report_gen.labeling import label_findings
from report_gen.records import FindingSchema, FindingState, split_sentences

TEXTS = ("findings", "impression", "report")
"""Texts that are compared between studies; a report is findings and impression."""
STATES = tuple(FindingState)
OTHER_SPLIT = len(SPLITS)
"""Number of a split that is not in SPLITS."""


def study_dtype(schema: FindingSchema) -> np.dtype[Any]:
    """Return the type of the record of one study.

    study, patient, texts: `fingerprint`, 0 if empty; split: index in SPLITS, or OTHER_SPLIT; images: their number;
    words: their number in each of SECTIONS; with_marks: whether each section has a de-identification mark; sentences:
    their number in the report; prior_sentences: number of those that refer to an earlier study; with_nul: whether a
    text has a NUL character; states: of the findings, index in STATES; labels: 1, 0, or -1 if the corpus has none.
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
            ("with_marks", np.bool_, len(SECTIONS)),
            ("sentences", np.uint32),
            ("prior_sentences", np.uint32),
            ("with_nul", np.bool_),
            ("states", np.uint8, findings),
            ("labels", np.int8, findings),
        ]
    )


def describe_study(row: Row, words: list[str], schema: FindingSchema) -> tuple[Any, ...]:
    """Return the record of a study, of type `study_dtype`. `words` are the words of its report."""
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
    """Return findings and impression as one text."""
    return "\n".join(text for text in (row["findings"], row["impression"]) if text)


def states_of(row: Row, schema: FindingSchema) -> list[int]:
    """Return the state of each finding in the report, as index in STATES."""
    return [STATES.index(state) for state in label_findings(report_of(row), schema).values()]


def labels_of(row: Row) -> list[int]:
    """Return the label of each finding: 1, 0, or -1 if the corpus has none."""
    return [-1 if label is None else int(label > 0.5) for label in row["labels"]]
