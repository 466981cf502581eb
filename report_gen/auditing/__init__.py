"""Checks of report texts that need no image: earlier studies, contradictions, repetition, sides, de-identification."""

from report_gen.auditing.comparisons import remove_contradicted_comparisons, stated_change
from report_gen.auditing.contradictions import Contradiction, find_contradictions
from report_gen.auditing.deidentification_marks import (
    has_deidentification_mark,
    remove_deidentified_words,
    replace_deidentification_marks,
)
from report_gen.auditing.disagreements import (
    Disagreement,
    DisagreementKind,
    find_disagreements,
    findings_in_one_section,
)
from report_gen.auditing.fragments import is_fragment, tidy_sentence
from report_gen.auditing.laterality import mentions_side
from report_gen.auditing.priors import mentions_prior, remove_prior
from report_gen.auditing.repetition import find_repeated_findings, find_repeated_sentences
from report_gen.auditing.side_removal import names_located_sides, remove_places, remove_sides
from report_gen.auditing.text_audit import Flag, FlagKind, audit_text
from report_gen.auditing.unsupported import is_unsupported, remove_unsupported, remove_unsupported_sides

__all__ = [
    "Contradiction",
    "Disagreement",
    "DisagreementKind",
    "Flag",
    "FlagKind",
    "audit_text",
    "find_contradictions",
    "find_disagreements",
    "find_repeated_findings",
    "find_repeated_sentences",
    "findings_in_one_section",
    "has_deidentification_mark",
    "is_fragment",
    "is_unsupported",
    "mentions_prior",
    "mentions_side",
    "names_located_sides",
    "remove_contradicted_comparisons",
    "remove_deidentified_words",
    "remove_places",
    "remove_prior",
    "remove_sides",
    "remove_unsupported",
    "remove_unsupported_sides",
    "replace_deidentification_marks",
    "stated_change",
    "tidy_sentence",
]
