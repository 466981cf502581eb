"""Frozen records of studies, reports and findings. They read no files and need no torch."""

from report_gen.records.box import Box
from report_gen.records.findings import FindingPhrases, FindingSchema, FindingState, NoFindingRule
from report_gen.records.heatmap import Heatmap
from report_gen.records.location import UNKNOWN_LOCATION, FindingLocation, Side, Zone, join_sides
from report_gen.records.preprocessed_image import PreprocessedImage
from report_gen.records.report import (
    ATTRIBUTES,
    BANNER,
    UNKNOWN_ATTRIBUTES,
    Attribute,
    AttributeName,
    Finding,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    format_report,
    parse_report,
    split_sentences,
    strip_controls,
)
from report_gen.records.study import Image, Laterality, Series, Study, ViewPosition, first_indication

__all__ = [
    "ATTRIBUTES",
    "BANNER",
    "UNKNOWN_ATTRIBUTES",
    "UNKNOWN_LOCATION",
    "Attribute",
    "AttributeName",
    "Box",
    "Finding",
    "FindingLocation",
    "FindingPhrases",
    "FindingSchema",
    "FindingState",
    "Heatmap",
    "Image",
    "InputFile",
    "Laterality",
    "NoFindingRule",
    "PreprocessedImage",
    "Provenance",
    "Report",
    "Section",
    "SectionName",
    "Sentence",
    "Series",
    "Side",
    "Study",
    "ViewPosition",
    "Zone",
    "first_indication",
    "format_report",
    "join_sides",
    "parse_report",
    "split_sentences",
    "strip_controls",
]
