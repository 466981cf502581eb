"""Read drafts in the format JSON, described by `report_gen/outputs/report.schema.json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from report_gen.outputs.draft_terms import STATES_BY_WORD
from report_gen.outputs.json import SCHEMA_VERSION
from report_gen.reading.plain_reports import NoReportError
from report_gen.records import (
    Attribute,
    AttributeName,
    ChangeState,
    ConfidenceKind,
    Finding,
    FindingLocation,
    InputFile,
    PriorComparison,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Side,
    Zone,
)

_Model = TypeVar("_Model", bound=BaseModel)
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ReadModel(BaseModel):
    """Part of a document. A key that this version of report-gen does not know is ignored."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class _Input(ReadModel):
    sha256: str
    sop_instance_uid: str | None


class _ComparisonModel(ReadModel):
    study_instance_uid: str | None
    inputs: list[_Input]
    days_earlier: int | None = Field(ge=0)
    with_report: bool
    method: str
    changes: dict[str, Annotated[ChangeState, Field(strict=False)]]
    findings: dict[str, Literal[tuple(STATES_BY_WORD)]] = {}  # type: ignore[valid-type]

    def record(self) -> PriorComparison:
        findings = {name: STATES_BY_WORD[word] for name, word in self.findings.items()}
        return PriorComparison(**dict(self) | {"inputs": _files(self.inputs), "findings": findings})


class ProvenanceModel(ReadModel):
    """Value of the key `provenance`."""

    model_name: str
    weights_sha256: str
    program_version: str
    created: str
    study_instance_uid: str | None
    inputs: list[_Input]
    decoding: dict[str, str | int | float | bool | None]
    preprocessing: list[dict[str, str | int | float]] = []
    comparison: _ComparisonModel | None = None
    model_revision: str = ""
    endpoint: str = ""
    confidence: ConfidenceKind = "token probability"

    def record(self) -> Provenance:
        """Return the record."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values |= {"inputs": _files(self.inputs), "preprocessing": tuple(self.preprocessing)}
        return Provenance(**values | {"comparison": None if self.comparison is None else self.comparison.record()})


class _SentenceModel(ReadModel):
    text: str
    confidence: Probability | None


class _SectionModel(ReadModel):
    name: SectionName = Field(strict=False)
    sentences: list[_SentenceModel]

    def record(self) -> Section:
        return Section(self.name, tuple(Sentence(one.text, one.confidence) for one in self.sentences))


class _LocationModel(ReadModel):
    side: Side = Field(strict=False)
    zones: list[Annotated[Zone, Field(strict=False)]]


class _ZoneProbabilities(ReadModel):
    upper: Probability
    mid: Probability
    lower: Probability


class _FindingModel(ReadModel):
    name: str
    state: Literal["present", "absent", "uncertain", "unknown"]
    probability: Probability | None
    present_threshold: Probability | None = None  # documents of earlier versions have neither thresholds
    uncertain_threshold: Probability | None = None
    means_normal: bool = False  # nor this
    overridden: bool
    from_text: bool = False  # written where it is true
    location: _LocationModel
    location_overridden: bool
    side_probability: Probability | None
    zone_probabilities: _ZoneProbabilities | None

    def record(self) -> Finding:
        zones = self.zone_probabilities
        return Finding(
            name=self.name,
            state=STATES_BY_WORD[self.state],
            probability=self.probability,
            present_threshold=self.present_threshold,
            uncertain_threshold=self.uncertain_threshold,
            means_normal=self.means_normal,
            overridden=self.overridden,
            from_text=self.from_text,
            location=FindingLocation(self.location.side, frozenset(self.location.zones)),
            location_overridden=self.location_overridden,
            side_probability=self.side_probability,
            zone_probabilities=None if zones is None else (zones.upper, zones.mid, zones.lower),
        )


class _AttributeModel(ReadModel):
    name: AttributeName
    value: str
    probability: Probability | None
    predicted: str
    from_header: bool
    overridden: bool


class _ReportModel(ReadModel):
    sections: list[_SectionModel]
    findings: list[_FindingModel]
    notices: list[str]
    attributes: list[_AttributeModel]
    provenance: ProvenanceModel


def parse_json_report(document: dict[str, Any]) -> Report:
    """Return the draft in a JSON document.

    Args:
        document: The parsed document.

    Raises:
        NoReportError: The document is not a draft.
        ValueError: The document is damaged, or has another version.
    """
    if "schema_version" not in document:
        raise NoReportError("its JSON has neither the key schema_version of a draft nor the key resourceType of FHIR")
    version = document["schema_version"]
    if version != SCHEMA_VERSION:
        raise ValueError(f"its schema_version is {str(version)[:20]}, and this program reads {SCHEMA_VERSION}")
    model = validated(_ReportModel, document)
    return Report(
        sections=tuple(section.record() for section in model.sections),
        findings=tuple(finding.record() for finding in model.findings),
        notices=tuple(model.notices),
        provenance=model.provenance.record(),
        attributes=tuple(Attribute(**dict(attribute)) for attribute in model.attributes),
    )


def _files(inputs: Sequence[_Input]) -> tuple[InputFile, ...]:
    return tuple(InputFile(**dict(one)) for one in inputs)


def validated(model: type[_Model], document: object) -> _Model:
    """Return a document as a model.

    Raises:
        ValueError: The document does not have the form of the model; the message names the first fault, without values.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
