"""Read reports: findings with states and locations, attributes of the study, sections; and the finding schemas."""

from report_gen.labeling.attributes import (
    contradicted_attributes,
    header_values,
    mismatched_attributes,
    named_values,
    value_of_term,
)
from report_gen.labeling.degrees import Degree, GradedMention, find_graded_mentions
from report_gen.labeling.labeler import (
    FindingLabeler,
    Mention,
    find_mentions,
    finding_labeler,
    findings_in_state,
    label_findings,
    locate_findings,
    report_labels,
    sentence_spans,
)
from report_gen.labeling.phrases import Role
from report_gen.labeling.report_language import looks_english
from report_gen.labeling.schema_files import NO_FINDINGS, built_in_schemas, chest_xray, load_schema
from report_gen.labeling.sections import HEADINGS, cut_report, report_parts

__all__ = [
    "HEADINGS",
    "NO_FINDINGS",
    "Degree",
    "FindingLabeler",
    "GradedMention",
    "Mention",
    "Role",
    "built_in_schemas",
    "chest_xray",
    "contradicted_attributes",
    "cut_report",
    "find_graded_mentions",
    "find_mentions",
    "finding_labeler",
    "findings_in_state",
    "header_values",
    "label_findings",
    "load_schema",
    "locate_findings",
    "looks_english",
    "mismatched_attributes",
    "named_values",
    "report_labels",
    "report_parts",
    "sentence_spans",
    "value_of_term",
]
