"""Decide which field of a study each column of a table gives: by the user's mapping, else by usual names.

Names are compared without case, spaces and punctuation, so `PatientID`, `patient_id` and `Patient ID` are one name.
A finding of the schema, by name or alias, is a field as well (its label), and so is `soft <finding>`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from report_gen.corpora.examples import OFFSET_COLUMNS
from report_gen.errors import CorpusError, UsageError
from report_gen.records import ATTRIBUTES, FindingSchema

ColumnMapping = Mapping[str, str | Sequence[str]]
"""Column, or columns, of the user's table by field, such as {"image": "filename", "report": "report_text"}."""

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "study_id": (
        *("study_id", "uid", "id", "study", "study_uid", "study_instance_uid", "study_number", "exam_id", "exam"),
        *("examination_id", "accession_number", "accession", "case_id", "case", "report_id", "record_id", "key"),
    ),
    "patient_id": (
        *("patient_id", "subject_id", "patient", "subject", "pid", "patient_number", "person_id", "participant_id"),
        *("mrn", "medical_record_number"),
    ),
    "images": (
        *("images", "image", "image_paths", "image_path", "image_files", "image_file", "image_filename"),
        *("image_filenames", "image_name", "image_names", "image_file_name", "image_index", "image_list", "img"),
        *("imgs", "img_path", "img_paths", "img_file", "img_name", "file_name", "file_names", "filename", "filenames"),
        *("file", "files", "file_path", "file_paths", "filepaths", "path", "paths", "dicom_path", "dicom_file"),
        *("dicom", "dcm_path", "dcm", "png_path", "jpg_path", "jpeg_path", "radiograph", "xray", "cxr", "image_id"),
        "dicom_id",
    ),
    "views": (
        *("view_positions", "view_position", "views", "view", "projections", "projection", "frontal/lateral"),
        *("image_view", "view_name"),
    ),
    "report": (
        *("report", "report_text", "full_report", "report_body", "radiology_report", "original_report", "reports"),
        *("raw_report", "caption", "captions", "image_caption", "text", "full_text", "note", "note_text", "narrative"),
        *("description", "image_description"),
    ),
    "findings": ("findings", "findings_text", "section_findings", "findings_section", "report_findings"),
    "impression": (
        *("impression", "impressions", "impression_text", "section_impression", "impression_section", "conclusion"),
        *("conclusions", "report_impression"),
    ),
    "indication": (
        *("indication", "indications", "clinical_indication", "reason_for_exam", "reason_for_examination", "reason"),
        *("history", "clinical_history", "clinical_information", "section_indication", "indication_section"),
    ),
    "comparison": ("comparison", "comparisons", "section_comparison", "comparison_section"),
    "prior_report": ("prior_report", "previous_report", "prior_report_text"),
    "study_description": ("study_description",),
    "admitting_diagnoses": ("admitting_diagnoses", "admitting_diagnoses_description", "admitting_diagnosis"),
    "modality": ("modality", "image_modality"),
    "plane": ("plane", "imaging_plane"),
    "body_part": ("body_part", "body_part_examined", "body_region", "anatomical_region"),
    "source": ("source", "data_source", "hospital"),
    "stored_px": ("stored_px",),
    **{name: (name,) for name in OFFSET_COLUMNS},
    "is_prior": ("is_prior",),
    "finding_boxes": ("finding_boxes",),
    "adjudicated_findings": ("adjudicated_findings",),
    "split": ("split", "set", "subset", "partition", "data_split", "dataset_split"),
}
"""Usual column names of each field, in order of preference."""

TEXT_FIELDS = ("report", "findings", "impression")
SECTIONS = ("indication", "comparison", "findings", "impression")
FIELDS_OF_USERS = (
    "image, report, findings, impression, patient, study, view, split, indication, comparison, "
    f"{', '.join(ATTRIBUTES)} or a finding"
)
"""Fields for which a user may name a column, for messages."""
_JOINABLE = ("images", "views", "report", *SECTIONS)
"""Fields of which several columns can be joined; of another field the first column with a value counts."""
SOFT = "soft "
"""Prefix of the field of a soft label."""


@dataclass(frozen=True, kw_only=True)
class ColumnUse:
    """How the columns of a table are used."""

    fields: Mapping[str, tuple[str, ...]]
    """Columns by field, in order of preference; the first with a value counts."""
    unused: tuple[str, ...] = ()
    """Columns that are not recognized."""
    joined: tuple[str, ...] = ()
    """Fields of which all columns count, because the user mapped several."""
    replaced: tuple[tuple[str, str], ...] = ()
    """Columns that are not read because the user mapped another column to their field, each with its field."""
    chosen: tuple[str, ...] = ()
    """Fields that the user mapped."""

    def has(self, *fields: str) -> bool:
        """Return whether at least one of these fields has a column."""
        return any(field in self.fields for field in fields)

    @property
    def has_content(self) -> bool:
        """Whether a column gives an image, a text of a report or a label of a finding, of which a model can learn."""
        return any(name in ("images", *TEXT_FIELDS) or name not in USUAL_NAMES for name in self.fields)

    def prefers_report(self, section: str) -> bool:
        """Return whether a section is taken from the report before its own column, because the user mapped the report.

        Otherwise the report gives the sections that have no text of their own.
        """
        return "report" in self.chosen and section not in self.chosen

    def describe(self) -> Iterator[tuple[str, str]]:
        """Yield each column that is recognized and how it is used, in plain words."""
        for name, columns in self.fields.items():
            for rank, column in enumerate(columns):
                yield column, name + self._condition(name, rank)
        for column, name in self.replaced:
            yield column, f"not read: {name}={','.join(self.fields[name])} is given"

    def _condition(self, field: str, rank: int) -> str:
        if rank and field not in self.joined:
            return f", where {self.fields[field][0]} is empty"
        if field in SECTIONS and self.prefers_report(field):
            return f", where {self.fields['report'][0]} has none"
        if field == "report" and any(self.has(name) and not self.prefers_report(name) for name in TEXT_FIELDS[1:]):
            return ", where findings or impression is empty"
        return ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(column for columns in self.fields.values() for column in columns)


def match_columns(
    names: Iterable[str], schema: FindingSchema, mapping: ColumnMapping | None = None, *, source: Path | str
) -> ColumnUse:
    """Assign the columns of a table to fields.

    Args:
        names: The columns.
        schema: Its findings are fields.
        mapping: The user's choice; fields that it does not name are found by usual names.
        source: The table, for error messages.

    Raises:
        UsageError: The mapping names an unknown field.
        CorpusError: The mapping names a column that the table does not have.
    """
    names, targets = tuple(dict.fromkeys(names)), _fields_by_name(schema)
    chosen = _choose(names, targets, mapping or {}, source)
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    taken = {column for columns in chosen.values() for column in columns}
    for name in names:
        field, rank = targets.get(normalize(name), ("", 0))
        if field and field not in chosen and name not in taken:
            found[field].append((rank, name))
    fields = chosen | {field: tuple(name for _, name in sorted(ranked)) for field, ranked in found.items()}
    used = {column for columns in fields.values() for column in columns}
    rest = {name: targets.get(normalize(name), ("", 0))[0] for name in names if name not in used}
    return ColumnUse(
        fields=fields,
        unused=tuple(name for name, field in rest.items() if field not in chosen),
        replaced=tuple((name, field) for name, field in rest.items() if field in chosen),
        joined=tuple(field for field, columns in chosen.items() if len(columns) > 1 and field in _JOINABLE),
        chosen=tuple(chosen),
    )


def normalize(name: str) -> str:
    """Return a name without case, spaces and punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _fields_by_name(schema: FindingSchema) -> dict[str, tuple[str, int]]:
    """Return (field, rank) by normalized name; a lower rank is preferred."""
    names: dict[str, list[str]] = {field: list(usual) for field, usual in USUAL_NAMES.items()}
    for finding in schema.findings:
        known = [finding, *(alias for alias, name in schema.aliases.items() if name == finding)]
        names[finding] = known
        names[SOFT + finding] = [SOFT + name for name in known]
    targets: dict[str, tuple[str, int]] = {}
    for field, usual in names.items():
        for rank, name in enumerate(usual):
            targets.setdefault(normalize(name), (field, rank))
    return targets


def _choose(
    names: Sequence[str], targets: Mapping[str, tuple[str, int]], mapping: ColumnMapping, source: Path | str
) -> dict[str, tuple[str, ...]]:
    """Return the columns that the user chose, by field."""
    known = {normalize(name): name for name in reversed(names)}
    chosen: dict[str, tuple[str, ...]] = {}
    for given, columns in mapping.items():
        field, _ = targets.get(normalize(given), ("", 0))
        if not field:
            raise UsageError(f"columns: no field {given!r}; use {FIELDS_OF_USERS}")
        listed = (columns,) if isinstance(columns, str) else tuple(columns)
        for column in listed:
            if column not in names and normalize(column) not in known:
                raise CorpusError(f"{source}: no column {column!r} for {given}; choose from {list_names(names)}")
        found = tuple(column if column in names else known[normalize(column)] for column in listed)
        chosen[field] = chosen.get(field, ()) + found
    return chosen


def list_names(names: Sequence[str], limit: int = 12) -> str:
    """Return names for a message; those beyond the limit are counted."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more if names else "none"
